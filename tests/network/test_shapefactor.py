"""The second factor on σ: its polynomial, and that errors of a known miscalibration are set right."""

import numpy as np
import pytest
import torch

from specvit.network import LabelRegressor, ViTConfig
from specvit.network.cellcalibration import calibrate_cells, pulls, refine_calibration
from specvit.network.conformal import forget_errors, predict_batches
from specvit.network.heldout import HeldOut, predict_held_out
from specvit.network.shapefactor import _factors, interval_shape, n_terms, shape_terms, shape_variables
from specvit.weights import load_weights, save_weights

CONFIG = ViTConfig(n_pixels=8, width=8, depth=1, heads=2, mlp=8, patch_size=8)
ONE_SIGMA = 0.6826895


class Regressor(LabelRegressor):
    """Its heads read the answer from the flux itself, whatever the encoding makes of it."""

    def encode(self, flux, ivar, lsf=None, sampling=None):
        self.answer = flux[:, :4] - 5
        return super().encode(flux, ivar, lsf, sampling)

    def heads(self, x):
        return (
            super()
            .heads(x)
            ._replace(
                mean=self.answer[:, :2],
                log_sigma=self.answer[:, 2:],
                factor=torch.eye(2).expand(len(x), -1, -1),
            )
        )


def regressor():
    made = Regressor.build(CONFIG, ("a", "b"), encoding="instrument", covariance=True).eval()
    made.set_label_scaling([1.0, 5000.0], [2.0, 700.0])
    return made


def true_factor(mean, log_sigma):
    """Errors over the predicted σ, by label: what calibration is to find."""
    a = np.exp(0.15 * log_sigma[:, 0] - 0.1 * mean[:, 0] ** 2 + 0.1)
    b = np.exp(0.1 * mean[:, 1] * log_sigma[:, 1] - 0.05)
    return np.stack([a, b], 1)


def batch_of(n, seed):
    """Spectra of S/N 2–200 whose errors are `true_factor` times the predicted σ, Gaussian."""
    rng = np.random.default_rng(seed)
    mean, log_sigma = rng.uniform(-1.5, 1.5, (n, 2)), rng.uniform(-2, 0, (n, 2))
    z = mean + np.exp(log_sigma) * true_factor(mean, log_sigma) * rng.normal(size=(n, 2))
    flux = np.full((n, 8), 5.0)
    flux[:, :4] += np.column_stack([mean, log_sigma])
    snr = 10 ** rng.uniform(0.3, 2.3, n)
    ivar = np.tile((snr / np.median(flux, 1))[:, None] ** 2, 8)
    # S/N is the median of flux·√ivar
    tensors = (flux, ivar, z * [2, 700] + [1, 5000], rng.uniform(0, 2, n), np.zeros(n))
    return tuple(torch.as_tensor(x, dtype=torch.float32) for x in tensors), mean, log_sigma


@pytest.fixture(scope="module")
def calibrated():
    made = regressor()
    calibrate_cells(made, [batch_of(60_000, 0)[0]])
    return made


def test_the_polynomial_is_that_of_numpy():
    rng = np.random.default_rng(0)
    low, high = rng.normal(size=5), rng.normal(size=5) + 5
    x = rng.uniform(-2, 7, (30, 5))  # beyond the ends, too
    terms = shape_terms(torch.tensor(x), torch.tensor(np.stack([low, high]))).numpy()
    u = np.clip(2 * (x - low) / (high - low) - 1, -1, 1)
    expected = {
        powers
        for powers in np.ndindex(7, 7, 4, 3, 3)
        if sum(powers) <= (6 if sum(powers[2:]) == 0 else 3 if sum(powers[3:]) == 0 else 2)
    }
    assert terms.shape == (30, n_terms()) == (30, len(expected))
    wanted = sorted(np.round((u ** np.array(powers)).prod(1), 9).tolist() for powers in expected)
    for got, one in zip(sorted(np.round(terms.T, 9).tolist()), wanted, strict=True):
        np.testing.assert_allclose(got, one, atol=2e-9)


def test_gradients_can_be_had_after_a_prediction_in_inference_mode():
    _factors.cache_clear()  # as if that were the first call
    limits, x = torch.stack([-torch.ones(5), torch.ones(5)]), torch.full((5,), 0.5, requires_grad=True)
    with torch.inference_mode():
        shape_terms(x, limits)
    shape_terms(x, limits).sum().backward()
    # Of coverage, the last variable: itself, its square, and its products with the four others.
    assert x.grad[4] == 1 + 2 * 0.5 + 4 * 0.5


def test_the_factor_is_bounded():
    variables = torch.zeros(3, 2, 5)
    limits = torch.stack([-torch.ones(2, 5), torch.ones(2, 5)])
    coefficients = torch.zeros(n_terms(), 2)
    coefficients[0] = torch.tensor([10.0, -10.0])
    found = interval_shape(variables, limits, coefficients)
    torch.testing.assert_close(found, torch.tensor([0.5, -0.5]).exp().expand(3, 2))


def test_variables_of_a_spectrum_without_signal_are_finite():
    one = torch.tensor([float("nan"), -1.0])
    assert shape_variables(torch.zeros(2, 3), torch.zeros(2, 3), one, one, torch.zeros(2)).isfinite().all()


def test_a_known_miscalibration_is_recovered(calibrated):
    batch, mean, log_sigma = batch_of(4000, 1)
    _, sigma, _, _ = predict_batches(calibrated, [batch])
    truth = true_factor(mean, log_sigma) * np.exp(log_sigma) * [2, 700]
    off = np.log(sigma / truth)
    assert abs(off.mean()) < 0.01
    assert off.std() < 0.03
    without = regressor()
    without.load_state_dict(calibrated.state_dict())
    without.set_shape(without.shape_limits, without.shape_coefficients[:0])
    _, sigma, _, _ = predict_batches(without, [batch])
    assert np.log(sigma / truth).std() > 0.08  # cells alone do not see it


def test_shares_are_nominal_for_every_answer(calibrated):
    batch, mean, log_sigma = batch_of(60_000, 2)
    found, sigma, labels, _ = predict_batches(calibrated, [batch])
    inside = abs(labels - found) < sigma
    for k in range(2):
        for low_label in (True, False):
            for low_sigma in (True, False):
                of = ((mean[:, k] < 0) == low_label) & ((log_sigma[:, k] < -1) == low_sigma)
                assert inside[of, k].mean() == pytest.approx(ONE_SIGMA, abs=0.015)


def test_right_errors_stay_as_they_are():
    """Where σ is right already, the second factor is 1 but for the noise of what it is learned from."""
    made, rng = regressor(), np.random.default_rng(5)
    n = 50_000
    normal = torch.as_tensor(rng.normal(size=(n, 2)))
    mean, log_sigma = (torch.as_tensor(rng.uniform(-1, 0, (n, 2))) for _ in range(2))
    snr, lsf, coverage = (torch.as_tensor(rng.uniform(0.1, high, n)) for high in (300.0, 2.0, 1.0))
    unit = torch.eye(2, dtype=torch.float64).expand(n, -1, -1)
    refine_calibration(made, HeldOut(normal, mean, log_sigma, snr, lsf, coverage, unit))
    factor = made.error_factor(*(x.float() for x in (mean, log_sigma, snr, lsf, coverage)))
    # A quantile of n normal errors is known to √(τ(1 − τ)/n)/f, of each coefficient: 0.96/√n of ln σ.
    assert factor.log().square().mean().sqrt() < 1.2 * 0.96 * np.sqrt(n_terms() / n)
    assert factor.log().mean().abs() < 0.01


def test_the_covariance_has_the_refined_sigma_on_its_diagonal(calibrated):
    batch, _, _ = batch_of(50, 6)
    _, covariance = calibrated.predict_covariance(*batch[:2], *batch[3:])
    _, sigma = calibrated.predict(*batch[:2], *batch[3:])
    torch.testing.assert_close(covariance.diagonal(dim1=1, dim2=2), sigma.square())


def test_predictions_that_are_held_out_are_those_of_predict(calibrated):
    batch, _, _ = batch_of(200, 7)
    batch[2][3] = torch.nan  # an unknown label
    batch[1][5] = 0  # nothing seen
    held_out = predict_held_out(calibrated, [[x[:90] for x in batch], [x[90:] for x in batch]])
    mean, sigma, labels, _ = predict_batches(calibrated, [batch])
    used = np.isfinite(labels).all(1) & np.isfinite(mean).all(1)
    assert used.sum() == 198 == len(held_out.error)
    expected = ((labels - mean) / sigma)[used]
    np.testing.assert_allclose(pulls(calibrated, held_out).numpy(), expected, atol=2e-3)


def test_the_factor_is_kept_in_a_file_and_older_files_have_none(calibrated, tmp_path):
    made = LabelRegressor.build(CONFIG, ("a", "b"), encoding="instrument", covariance=True)
    made.set_label_scaling(calibrated.label_centre, calibrated.label_scale)
    made.set_shape(calibrated.shape_limits, calibrated.shape_coefficients)
    save_weights(tmp_path / "w", made)
    again = load_weights(tmp_path / "w")[0]
    assert torch.equal(again.shape_coefficients, calibrated.shape_coefficients)
    assert torch.equal(again.shape_limits, calibrated.shape_limits)
    older = {name: x for name, x in made.state_dict().items() if not name.startswith("shape_")}
    again.load_state_dict(older)
    assert again.shape_coefficients.shape == (0, 2)
    batch, _, _ = batch_of(5, 8)
    plain = made.predict(*batch[:2], *batch[3:])[1] / again.predict(*batch[:2], *batch[3:])[1]
    assert (plain - 1).abs().max() > 1e-3


def test_a_new_calibration_takes_the_factor_away(calibrated):
    made = regressor()
    made.load_state_dict(calibrated.state_dict())
    made.set_calibration([10.0], [[2.0, 3.0]])
    axes = torch.tensor([10.0]), torch.tensor([0.0]), torch.tensor([1.0])
    torch.testing.assert_close(
        made.error_factor(torch.zeros(1, 2), torch.zeros(1, 2), *axes), torch.tensor([[2.0, 3.0]])
    )


def test_a_label_that_is_learned_anew_without_calibration_has_no_factor_of_before(calibrated):
    made = regressor()
    made.load_state_dict(calibrated.state_dict())
    given = torch.full((1, 2), 0.5), torch.full((1, 2), -1.0), *torch.tensor([[10.0], [0.0], [1.0]])
    before = made.error_factor(*given)
    forget_errors(made, keep=("a",))
    assert made.error_factor(*given)[0, 1].isnan()
    forget_errors(made, keep=("a", "b"))
    torch.testing.assert_close(made.error_factor(*given), torch.stack([before[:, 0], torch.ones(1)], 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda low, high, c: (low[:, :1], high[:, :1], c), "shape_limits and shape_coefficients must have"),
        (lambda low, high, c: (low, high, c[:5]), "shape_limits and shape_coefficients must have shapes"),
        (lambda low, high, c: (high, low, c), "shape_limits must be finite, the lowest first"),
        (lambda low, high, c: (low, high * torch.nan, c), "shape_limits must be finite, the lowest first"),
        (lambda low, high, c: (low, high, c / 0), "shape_coefficients must be finite"),
    ],
)
def test_bad_factors_are_refused(change, message):
    low, high, coefficients = change(-torch.ones(2, 5), torch.ones(2, 5), torch.zeros(n_terms(), 2))
    with pytest.raises(ValueError, match=message):
        regressor().set_shape(torch.stack([low, high]), coefficients)
