import json

import numpy as np
import pytest
import torch

from specvit.network import LabelRegressor, ViTConfig

CONFIG = ViTConfig.reference(n_pixels=40, patch_size=8, width=16, depth=1, heads=2, mlp=32)


def regressor(names=("logg", "teff"), **kwargs):
    torch.manual_seed(0)
    return LabelRegressor.build(CONFIG, names, **kwargs)


@pytest.fixture
def spectra():
    flux = 1 + 0.1 * torch.randn(7, 40, generator=torch.Generator().manual_seed(2))
    return flux, torch.full((7, 40), 100.0)


def test_forward_and_predict(spectra):
    model = regressor().eval()
    model.set_label_scaling([3.0, 5000.0], [0.5, 600.0])
    mean_z, log_sigma_z = model(*spectra)
    mean, sigma = model.predict(*spectra)
    assert mean.shape == sigma.shape == (7, 2)
    torch.testing.assert_close(mean, torch.tensor([3.0, 5000.0]) + torch.tensor([0.5, 600.0]) * mean_z)
    torch.testing.assert_close(sigma, torch.tensor([0.5, 600.0]) * log_sigma_z.exp())


def test_predict_is_in_eval_mode_and_restores_the_mode(spectra):
    model = regressor().train()
    assert torch.equal(model.predict(*spectra)[0], model.predict(*spectra)[0])
    assert model.training


def test_unusable_rows_are_nan_and_leave_the_others_alone(spectra):
    model = regressor()
    mean, sigma = model.predict(*spectra)
    flux, ivar = spectra[0].clone(), spectra[1].clone()
    ivar[2], flux[4] = 0, -1
    mean_2, sigma_2 = model.predict(flux, ivar)
    bad = [2, 4]
    assert mean_2[bad].isnan().all()
    assert sigma_2[bad].isnan().all()
    good = [0, 1, 3, 5, 6]
    torch.testing.assert_close(mean_2[good], mean[good])
    torch.testing.assert_close(sigma_2[good], sigma[good])


def test_sigma_is_bounded():
    model = regressor("logg")
    with torch.no_grad():
        model.network.head.weight.zero_()
        model.network.head.bias.copy_(torch.tensor([0.0, 1e4]))
    flux = torch.ones(1, 40)
    assert model(flux, flux)[1].item() == pytest.approx(3)
    with torch.no_grad():
        model.network.head.bias[1] = -1e4
    assert model(flux, flux)[1].item() == pytest.approx(-7)


def test_calibration_is_linear_in_log_snr_and_constant_beyond():
    model = regressor().double()
    factor = np.array([[1.0, 2.0], [3.0, 1.0], [2.0, 1.0]])
    model.set_calibration([1.0, 10.0, 1000.0], factor)
    snr = torch.tensor([1e-3, 1.0, 3.0, 10.0, 50.0, 1000.0, 1e6, -5.0, torch.nan], dtype=torch.float64)
    x = np.log10(np.where(snr.numpy() > 0, snr.numpy(), 1e-300))  # what is no ratio is beyond the low end
    expected = np.stack([np.interp(x, [0, 1, 3], column) for column in factor.T], axis=1)
    np.testing.assert_allclose(model.calibration(snr).numpy(), expected, rtol=1e-12)


def test_calibration_multiplies_sigma_and_not_the_mean(spectra):
    model = regressor()
    mean, sigma = model.predict(*spectra)
    model.set_calibration([10.0], [[2.0, 0.5]])
    mean_2, sigma_2 = model.predict(*spectra)
    assert torch.equal(mean, mean_2)
    torch.testing.assert_close(sigma_2, sigma * torch.tensor([2.0, 0.5]))


def test_a_point_regressor_has_a_sigma_once_calibrated(spectra):
    model = regressor("logg", heteroscedastic=False)
    model.set_label_scaling([3.0], [0.5])
    assert model(*spectra)[1] is None
    assert model.predict(*spectra)[1].isnan().all()
    model.set_calibration([1.0], [[0.4]])
    torch.testing.assert_close(model.predict(*spectra)[1], torch.full((7, 1), 0.2))


@pytest.mark.parametrize(
    ("snr", "factor", "message"),
    [
        ([1.0, 2.0], [[1.0, 1.0]], r"shapes \(k,\) and \(k, 2\)"),
        ([2.0, 1.0], [[1.0, 1.0]] * 2, "strictly increasing"),
        ([0.0, 1.0], [[1.0, 1.0]] * 2, "positive"),
        ([1.0], [[1.0, -1.0]], "factor must be positive"),
    ],
)
def test_calibration_refuses(snr, factor, message):
    with pytest.raises(ValueError, match=message):
        regressor().set_calibration(snr, factor)


def test_label_scalings():
    labels = torch.tensor([[1.0, 4000.0], [3.0, 5000.0], [5.0, torch.nan]])
    model = regressor()
    model.fit_label_scaling(labels)
    torch.testing.assert_close(model.label_centre, torch.tensor([3.0, 4500.0]))
    torch.testing.assert_close(model.label_scale, torch.tensor([np.sqrt(8 / 3), 500.0], dtype=torch.float32))
    model = regressor(label_scaling="minmax")
    model.fit_label_scaling(labels)
    assert model.label_centre.tolist() == [1, 4000]
    assert model.label_scale.tolist() == [4, 1000]
    model = regressor(label_scaling="none")
    model.fit_label_scaling(labels)
    assert model.label_scale.tolist() == [1, 1]
    model = regressor("logg")
    model.fit_label_scaling(torch.full((3, 1), 0.1))
    assert model.label_scale.tolist() == [1]
    with pytest.raises(ValueError, match=r"labels must have shape \(n, 1\), got \(3, 2\)"):
        model.fit_label_scaling(labels)
    with pytest.raises(ValueError, match="scale must be positive"):
        model.set_label_scaling([0.0], [0.0])


@pytest.mark.parametrize("position", ["learned", "pipe"])
def test_description_and_state_rebuild_the_model(spectra, position):
    config = ViTConfig.from_dict({**CONFIG.to_dict(), "position": position})
    wavelength = np.linspace(7000, 7040, 40) if position == "pipe" else None
    model = LabelRegressor.build(config, ("logg", "teff"), wavelength=wavelength)
    model.set_label_scaling([3.0, 5000.0], [0.5, 600.0])
    model.set_calibration([1.0, 10.0], [[1.0, 2.0], [3.0, 4.0]])
    again = LabelRegressor.from_dict(json.loads(json.dumps(model.to_dict())))
    again.load_state_dict(model.state_dict())
    for a, b in zip(model.predict(*spectra), again.predict(*spectra), strict=True):
        assert torch.equal(a, b)


def test_double_precision(spectra):
    model = regressor().double()
    mean, sigma = model.predict(*(values.double() for values in spectra))
    assert mean.dtype == sigma.dtype == torch.float64


def test_configuration_must_fit():
    with pytest.raises(ValueError, match=r"config.in_channels must be 2 for encoding='weighted'"):
        LabelRegressor(CONFIG, "logg")
    with pytest.raises(ValueError, match=r"config.n_outputs must be 4"):
        LabelRegressor(ViTConfig.reference(in_channels=2), ("logg", "teff"))
    with pytest.raises(ValueError, match="one or more different names"):
        LabelRegressor.build(CONFIG, ("logg", "logg"))
    with pytest.raises(ValueError, match="label_scaling must be one of"):
        regressor(label_scaling="robust")
