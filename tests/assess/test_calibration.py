"""Audits of calibration against closed forms."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from specvit.assess import (
    audit_calibration,
    coverage_curve,
    pit,
    reliability,
)


def gaussian(bias=0.0, scale=1.0, n=40_000):
    """Truth N(0, 1)-distributed about predictions off by bias σ, with σ too small by `scale`."""
    rng = np.random.default_rng(6)
    sigma = rng.uniform(0.1, 1.0, n)
    truth = rng.normal(3, 1, n)
    return truth, truth - sigma * (bias + scale * rng.normal(size=n)), sigma


def test_calibrated_errors_are_found_so():
    columns = gaussian()
    np.testing.assert_allclose(np.histogram(pit(*columns), 10, (0, 1))[0], 4000, atol=4 * 60)
    curve = coverage_curve(*columns)
    assert list(curve["nominal"]) == pytest.approx(np.arange(0.05, 0.96, 0.05))
    assert (np.abs(curve["actual"] - curve["nominal"]) < 4 * curve["actual_err"]).all()
    table = reliability(*columns, bins=8)
    assert (np.abs(table["actual"] - table["predicted"]) < 4 * table["actual_err"]).all()
    assert (table["n"] == 5000).all() and (table["low"].to_numpy()[1:] >= table["high"].to_numpy()[:-1]).all()
    np.testing.assert_allclose(table["predicted"], np.linspace(0.16, 0.94, 8), atol=0.02)
    np.testing.assert_allclose(table["actual_err"] / table["actual"], 1 / np.sqrt(2 * 5000), rtol=0.1)


def test_wrong_errors_in_closed_form():
    """σ too small by 2: intervals of nominal p hold 2Φ(Φ⁻¹((1 + p)/2)/2) − 1, and the rms is 2 σ."""
    columns = gaussian(scale=2.0)
    curve = coverage_curve(*columns, levels=(0.5, 0.9))
    np.testing.assert_allclose(curve["actual"], 2 * norm.cdf(norm.ppf([0.75, 0.95]) / 2) - 1, atol=0.01)
    np.testing.assert_allclose(reliability(*columns)["ratio"], 2, rtol=0.06)


def test_summary_of_every_predictor():
    frames = []
    for name, options in {"good": {}, "biased": {"bias": 0.5}, "no sigma": {}}.items():
        truth, prediction, sigma = gaussian(**options)
        frame = pd.DataFrame({"truth": truth, "prediction": prediction, "sigma": sigma})
        frames.append(frame.assign(predictor=name, label="logg"))
    frames[2]["sigma"] = np.nan
    frames[0].loc[:9, "prediction"] = np.nan
    table = audit_calibration(pd.concat(frames)).set_index("predictor")
    assert list(table.index) == ["good", "biased"]
    good, biased = table.loc["good"], table.loc["biased"]
    assert good["n"] == 39_990 and good["mean"] == pytest.approx(0, abs=0.02)
    assert good["std"] == pytest.approx(1, abs=0.02)
    assert good["p_value"] > 0.001 and good["miscoverage"] < 0.015
    # sup |Φ(x) − Φ(x − b)| is at x = b/2.
    assert biased["ks"] == pytest.approx(2 * norm.cdf(0.25) - 1, abs=0.01) and biased["p_value"] < 1e-10
    assert biased["mean"] == pytest.approx(0.5, abs=0.02)
    z = norm.ppf((1 + biased["at"]) / 2)
    expected = biased["at"] - (norm.cdf(z - 0.5) - norm.cdf(-z - 0.5))
    assert biased["miscoverage"] == pytest.approx(expected, abs=0.01)


def test_what_calibration_refuses():
    with pytest.raises(ValueError, match=r"sigma must be positive, the least is 0\.0"):
        pit([1, 2], [1, 2], [1, 0])
    with pytest.raises(ValueError, match="truth must be finite, 1 of 2 are not"):
        reliability([1, np.nan], [1, 2], [1, 1])
    with pytest.raises(ValueError, match=r"one shape \(n,\), n > 0, got \(0,\)"):
        coverage_curve([], [], [])
    with pytest.raises(ValueError, match=r"levels must lie between 0 and 1, got \[1.0\]"):
        coverage_curve([1], [1], [1], levels=[1])
    with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
        reliability([1], [1], [1], bins=0)
