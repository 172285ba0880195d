import numpy as np
import pytest
import torch

from specvit.network import encode, median_snr
from specvit.network.inputs import ENCODINGS, n_channels


@pytest.fixture
def spectra():
    generator = torch.Generator().manual_seed(1)
    flux = 3 + torch.randn(6, 101, generator=generator, dtype=torch.float64)
    ivar = 1 + torch.rand(6, 101, generator=generator, dtype=torch.float64)
    ivar[:, 10:20] = 0
    return flux, ivar


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("hidden", [np.nan, np.inf, -1e30, 1e30])
def test_nothing_of_a_masked_pixel_gets_through(spectra, encoding, hidden):
    flux, ivar = spectra
    x, valid = encode(flux, ivar, encoding)
    dirty = flux.clone()
    dirty[:, 10:20] = hidden
    again, valid_again = encode(dirty, ivar, encoding)
    assert torch.equal(x, again)
    assert torch.equal(valid, valid_again)
    assert torch.equal(median_snr(flux, ivar), median_snr(dirty, ivar))
    assert x.isfinite().all()
    assert x.shape == (6, n_channels(encoding), 101)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_a_bad_inverse_variance_or_flux_is_a_masked_pixel(spectra, bad):
    flux, ivar = spectra
    dirty = ivar.clone()
    dirty[:, 10:20] = bad
    assert torch.equal(encode(flux, ivar)[0], encode(flux, dirty)[0])
    nan = flux.clone()
    nan[:, 30] = torch.nan
    masked = ivar.clone()
    masked[:, 30] = 0
    assert torch.equal(encode(nan, ivar)[0], encode(flux, masked)[0])


@pytest.mark.parametrize("encoding", ["weighted", "median"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scale_does_not_matter(spectra, encoding, dtype):
    flux, ivar = (values.to(dtype) for values in spectra)
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-12}
    x, _ = encode(flux, ivar, encoding)
    torch.testing.assert_close(encode(flux * 1e-17, ivar * 1e34, encoding)[0], x, **tolerance)
    torch.testing.assert_close(median_snr(flux * 1e-17, ivar * 1e34), median_snr(flux, ivar), **tolerance)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_rows_are_independent(spectra, encoding):
    flux, ivar = spectra
    x, _ = encode(flux, ivar, encoding)
    for row in range(len(flux)):
        assert torch.equal(encode(flux[row : row + 1], ivar[row : row + 1], encoding)[0][0], x[row])


def test_snr_is_the_masked_median(spectra):
    flux, ivar = spectra
    ivar[0, 0] = 0  # an even number of pixels in one row
    expected = [np.median((f * np.sqrt(i))[i > 0]) for f, i in zip(flux.numpy(), ivar.numpy(), strict=True)]
    np.testing.assert_allclose(median_snr(flux, ivar).numpy(), expected, rtol=1e-14)


def test_weighted_closed_form():
    flux = torch.tensor([[1.0, 2.0, 3.0, 9.0, 2.0]], dtype=torch.float64)
    ivar = torch.tensor([[4.0, 1.0, 1.0, 1.0, 1e9]], dtype=torch.float64)
    x, valid = encode(flux, ivar)
    weight = 0.04 / (0.04 + 1 / (2 * 2) ** 2)  # τ²/(τ² + σ²) at median 2 and inverse variance 4
    assert valid.all()
    assert x[0, 0, 0].item() == pytest.approx(weight * -0.5 / 0.2)
    weight = 0.04 / (0.04 + 1 / 2**2)
    assert x[0, 0, 3].item() == pytest.approx(weight * 2.0 / 0.2)  # 9/2 − 1 is clipped to 2
    assert x[0, 1].tolist() == pytest.approx([np.log10(4) - 1, *[np.log10(2) - 1] * 3, 0.5])


def test_median_is_the_reference_normalisation(spectra):
    flux, ivar = spectra
    x, _ = encode(flux, ivar, "median")
    good = ivar[0] > 0
    assert np.median(x[0, 0][good].numpy()) == pytest.approx(0.5)
    assert (x[0, 0][~good] == 0.5).all()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_rows_without_a_scale_are_flagged_and_stay_finite(encoding):
    flux = torch.ones(4, 9)
    ivar = torch.ones(4, 9)
    ivar[0] = 0
    flux[1] = torch.nan
    flux[2] = -1
    x, valid = encode(flux, ivar, encoding)
    assert valid.tolist() == [False, False, encoding == "none", True]
    assert x.isfinite().all()
    assert median_snr(flux, ivar).isnan().tolist() == [True, True, False, False]


def test_none_passes_features_through():
    features = torch.tensor([[-1e3, 0.0, 5.0]])
    x, valid = encode(features, torch.ones(1, 3), "none")
    assert torch.equal(x[:, 0], features)
    assert valid.all()


def test_refusals():
    with pytest.raises(ValueError, match=r"one shape \(n, n_pixels\), got \(2, 3\) and \(3, 2\)"):
        encode(torch.ones(2, 3), torch.ones(3, 2))
    with pytest.raises(ValueError, match=r"did you mean 'weighted'"):
        encode(torch.ones(2, 3), torch.ones(2, 3), "weigted")


def test_the_caller_s_tensors_are_not_written_to(spectra):
    flux, ivar = spectra
    before = flux.clone(), ivar.clone()
    encode(flux, ivar)
    assert torch.equal(flux, before[0])
    assert torch.equal(ivar, before[1])


def test_the_instrument_is_seen_where_the_spectrum_is(spectra):
    flux, ivar = spectra
    lsf = torch.linspace(0, 2, 101, dtype=torch.float64).expand(6, -1)
    sampling = torch.arange(6, dtype=torch.float64) - 1
    x, valid = encode(flux, ivar, "instrument", lsf, sampling)
    weighted, _ = encode(flux, ivar)
    assert torch.equal(x[:, :2], weighted) and valid.all()
    seen = ivar > 0
    torch.testing.assert_close(x[:, 2], lsf * seen)
    torch.testing.assert_close(x[:, 3], sampling[:, None] * seen)


def test_an_instrument_not_told_is_the_grids_own(spectra):
    x, _ = encode(*spectra, "instrument")
    zero = torch.zeros(6)
    assert torch.equal(x, encode(*spectra, "instrument", zero, zero)[0])
    assert not x[:, 2:].any()


@pytest.mark.parametrize("name", ["lsf", "sampling"])
def test_the_instrument_must_be_that_of_the_spectra(spectra, name):
    with pytest.raises(ValueError, match=f"{name} must have shape"):
        encode(*spectra, "instrument", **{name: torch.zeros(5)})
