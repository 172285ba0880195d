"""Alarms, velocities that are measured and removed, and wavelengths in air that nobody stated."""

import warnings
from importlib import resources

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import StdDevUncertainty
from specutils import Spectrum

import specvit
from specvit import PFS_MR, LoggEstimator
from specvit.assess.scene import STARS, Scene
from specvit.exceptions import AlarmWarning
from specvit.grid import Resampler, air_to_vacuum, vacuum_to_air
from specvit.honesty import passes, screening
from specvit.honesty.alarmlimits import HonestyLimits
from specvit.honesty.restframe import at_rest
from specvit.spectra import Flag, adapt


@pytest.fixture(scope="module")
def estimator():
    return LoggEstimator(device="cpu")


def observed(star, snr=50.0, seed=1, **how):
    """Flux and inverse variance on the pixels of PFS MR."""
    scene = Scene(STARS[star], snr)
    light = scene.light(**how)
    sigma = scene.sigma(light)
    return light + sigma * np.random.default_rng(seed).standard_normal(light.size), sigma**-2


def spectrum(flux, ivar, wave=PFS_MR.wave, **meta):
    errors = StdDevUncertainty(ivar**-0.5)
    meta = {"resolution": PFS_MR.resolving_power} | meta
    return Spectrum(flux * u.Jy / u.Jy, wave * u.AA, uncertainty=errors, meta=meta)


def test_alarms_are_told_apart_from_flags_that_inform():
    informing = (
        Flag.NO_UNCERTAINTY, Flag.PARTIAL_COVERAGE, Flag.RESOLUTION_ASSUMED, Flag.LOWER_RESOLUTION,
        Flag.MEDIUM_ASSUMED, Flag.LOW_SNR, Flag.AIR_FOUND, Flag.EXTREME_PIXELS,
    )  # fmt: skip
    assert {flag for flag in Flag if not flag & Flag.ALARMS} == set(informing)
    assert Flag.describe(Flag.VELOCITY | Flag.AIR_FOUND) == "VELOCITY, AIR_FOUND"


def test_predict_warns_once_with_counts(estimator):
    good, bad = observed("giant"), observed("giant", velocity=200.0)
    flux, ivar = (np.stack([a, b, b]) for a, b in zip(good, bad, strict=True))
    with pytest.warns(AlarmWarning, match=r"2 of 3 spectra raise an alarm.*VELOCITY 2") as caught:
        estimator.predict(flux, ivar=ivar)
    assert len(caught) == 1 and caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator.predict(flux[:1], ivar=ivar[:1])
        table = estimator.predict_table(flux, ivar=ivar)
    assert ((table["flags"] & Flag.VELOCITY) > 0).tolist() == [False, True, True]


@pytest.mark.parametrize(("star", "velocity"), [("giant", 420.0), ("dwarf", -160.0), ("metal-poor", 95.0)])
def test_a_velocity_is_measured_and_removed(estimator, star, velocity):
    """Eight spectra each: the velocity put in, and on average the gravity of those that never moved."""

    def several(seeds, **how):
        pairs = (observed(star, seed=seed, **how) for seed in seeds)
        return (np.stack(values) for values in zip(*pairs, strict=True))

    flux, ivar = several(range(8), velocity=velocity)
    still, known = several(range(8, 16))
    given = estimator.predict_table(flux, ivar=ivar)
    assert (given["flags"] & Flag.VELOCITY > 0).all()
    table = estimator.predict_table(flux, ivar=ivar, velocity="fit")
    reference = estimator.predict_table(still, ivar=known)
    assert not (table["flags"] & Flag.ALARMS).any()
    off = (table["velocity"].to_value("km/s") - velocity) / table["velocity_err"].to_value("km/s")
    assert abs(off).max() < 4
    difference = table["logg"].value.mean() - reference["logg"].value.mean()
    assert abs(difference) < 3 * reference["logg_err"].value.mean() * (2 / 8) ** 0.5


def test_broadening_and_dilution_are_measured(estimator):
    """Rotation of variance σ² and light without lines, at S/N 100: within 4 errors of what was put in."""
    scene = Scene(STARS["giant"], 100)
    width = 2.0  # of the line spread function, over what is stated
    flux, ivar = observed("giant", 100.0, width=width)
    row = estimator.predict_table(flux, ivar=ivar)[0]
    assert row["flags"] & Flag.BROADENED
    sigma = 299_792.458 * np.median(scene.grid.lsf_sigma / scene.wave)
    expected = sigma * (width**2 - 1) ** 0.5
    assert abs(row["broadening"].to_value("km/s") - expected) < 0.25 * expected
    light = (scene.lines() + 0.5) / 1.5 * scene.continuum
    noise = scene.sigma(light)
    flux = light + noise * np.random.default_rng(2).standard_normal(light.size)
    row = estimator.predict_table(flux, ivar=noise**-2)[0]
    assert row["flags"] & (Flag.DILUTED | Flag.BAD_FIT)
    assert row["dilution"] > 3 * row["dilution_err"]


def test_without_lines_nothing_is_believed(estimator):
    rng = np.random.default_rng(3)
    flux = 1 + rng.standard_normal((4, len(PFS_MR))) / 30
    table = estimator.predict_table(flux, ivar=np.full(flux.shape, 900.0))
    assert ((table["flags"] & Flag.NO_LINES) > 0).all()


def test_air_is_found_where_nobody_stated_the_medium(estimator):
    """Pixels at wavelengths in air, called nothing, answer as those called air; those called vacuum alarm."""
    centres = air_to_vacuum(PFS_MR.wave)
    flux, ivar = observed("dwarf", centres=np.clip(centres, None, Scene(STARS["dwarf"], 1).wave[-1] + 5))
    unknown = estimator.predict_table(spectrum(flux, ivar))
    stated = estimator.predict_table(spectrum(flux, ivar, medium="air"))
    assert unknown["flags"][0] & Flag.AIR_FOUND and not unknown["flags"][0] & Flag.ALARMS
    assert not stated["flags"][0] & (Flag.AIR_FOUND | Flag.ALARMS)
    assert abs((unknown["logg"][0] - stated["logg"][0]).value) < stated["logg_err"][0].value
    wrong = estimator.predict_table(spectrum(flux, ivar, medium="vacuum"))
    assert wrong["flags"][0] & Flag.VELOCITY and not wrong["flags"][0] & Flag.AIR_FOUND
    true_vacuum = estimator.predict_table(spectrum(*observed("dwarf")))
    assert not true_vacuum["flags"][0] & (Flag.AIR_FOUND | Flag.ALARMS)
    assert vacuum_to_air(centres) == pytest.approx(PFS_MR.wave, abs=1e-4)


def test_pixels_move_by_the_rule_of_native_pixels():
    """Against the sparse matrix that rebins spectra, with a pixel lost in the middle."""
    wave, velocity = PFS_MR.wave, -230.0
    rng = np.random.default_rng(4)
    flux, ivar = 1 + 0.1 * rng.standard_normal(wave.size), rng.uniform(50, 100, wave.size)
    ivar[2000] = 0
    batch = adapt(flux, ivar=ivar)
    moved = at_rest(batch, np.array([velocity]))
    resampler = Resampler(PFS_MR.edges / (1 + velocity / 299_792.458), PFS_MR)
    out = resampler(batch.flux, np.where(ivar > 0, 1 / np.maximum(ivar, 1), 1)[None], (ivar == 0)[None])
    inner = slice(20, -20)
    lost = out.mask[0, inner]
    assert lost.sum() in (1, 2) and (moved.ivar[0, inner] == 0).tolist() == lost.tolist()
    np.testing.assert_allclose(moved.flux[0, inner][~lost], out.flux[0, inner][~lost], rtol=2e-3)
    np.testing.assert_allclose(moved.ivar[0, inner][~lost], out.ivar[0, inner][~lost], rtol=5e-3)
    assert (batch.flux[0] == np.where(ivar > 0, flux, 0)).all()  # the one given stays as it was


@pytest.mark.parametrize("velocity", [-300.0, 300.0])
@pytest.mark.parametrize("power", [1500, 2500])
def test_the_ends_that_are_left_out_are_those_at_rest(velocity, power):
    """A velocity that is found leaves out the same ends as one that the spectral axis carries."""
    wave, step = np.arange(6900.0, 9050.0, 8000 / power / 2), 8000 / power / 2
    flux, error = np.ones(wave.size), StdDevUncertainty(np.full(wave.size, 0.02))
    how = {"medium": "vacuum", "resolution": 8000 / power * u.AA, "lower_resolution": "flag"}
    stated = Spectrum(flux * u.one, wave * u.AA, uncertainty=error, radial_velocity=velocity * u.km / u.s)
    known = adapt(stated, **how).ivar[0] > 0
    batch = adapt(Spectrum(flux * u.one, wave * u.AA, uncertainty=error), **how)
    found = at_rest(batch, np.array([velocity])).ivar[0] > 0
    # Three σ of the kernel that makes the grid's line spread function as wide.
    at = len(PFS_MR) // 2
    own = PFS_MR.wave[at] / PFS_MR.resolving_power[at]
    reach = 3 / 2.3548 * np.sqrt((8000 / power) ** 2 - own**2)
    seen = PFS_MR.wave[found]
    assert seen[0] > PFS_MR.edges[0] + reach - 0.01 and seen[-1] < PFS_MR.edges[-1] - reach + 0.01
    # The end that comes from inside is where it is with a known velocity, to a native pixel.
    inside = (lambda good: PFS_MR.wave[good][-1]) if velocity < 0 else (lambda good: PFS_MR.wave[good][0])
    assert inside(found) == pytest.approx(inside(known), abs=step)


def test_limits_follow_the_signal_to_noise_ratio():
    limits = HonestyLimits.load()
    assert limits.record["survey"] == "any" and limits.record["false_alarm_rate"] == 0.005
    values = limits.at("misfit", np.array([0.0, limits.snr[0], limits.snr[-1], 1e4]))
    assert values[0] == values[1] and values[2] == values[3] and np.isfinite(values).all()


@pytest.mark.parametrize("change", [("0.005", "0.006"), ("14.", "15."), ("{", "["), ('"sha256"', '"sha"')])
def test_damaged_limits_are_refused(tmp_path, change):
    whole = (resources.files("specvit") / "data" / "honesty_limits.json").read_text(encoding="utf-8")
    assert change[0] in whole
    path = tmp_path / "limits.json"
    path.write_text(whole, encoding="utf-8")
    assert HonestyLimits.load(path).lines == HonestyLimits.load().lines
    path.write_text(whole.replace(*change, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=r"limits of honesty: .*limits\.json is damaged"):
        HonestyLimits.load(path)


def test_an_unknown_way_with_velocities_is_refused(estimator):
    with pytest.raises(ValueError, match="velocity must be None or 'fit', got 'guess'"):
        estimator.predict(np.ones((1, len(PFS_MR))), velocity="guess")


def test_tables_keep_names_and_say_what_was_assumed(estimator):
    stars = [spectrum(*observed("giant"), OBJECT="HD 1"), spectrum(*observed("dwarf"), medium="vacuum")]
    table = estimator.predict_table(stars)
    assert table["name"].tolist() == ["HD 1", ""]
    assert table.meta["WEIGHTS"] == "any" and table.meta["SPECVIT"] == specvit.__version__
    assert table.meta["MEDIUM"] == "vacuum, assumed for 1 of 2" and table.meta["RESOLVE"] == "stated"
    assert "name" not in estimator.predict_table(np.array(stars[0].flux.value)).colnames


def test_spectra_in_order_are_screened_only(monkeypatch):
    """By one linear step, which finds what all fits find, to a part of its error; others are fitted."""
    examined = []

    def watched(model, flux, *rest):
        examined.append(len(flux))
        return examine(model, flux, *rest)

    examine = screening.examine
    for module in (screening, passes):
        monkeypatch.setattr(module, "examine", watched)
    pairs = [observed("dwarf", 30.0, seed) for seed in range(4)] + [observed("dwarf", 30.0, velocity=300.0)]
    flux, ivar = (np.stack(values) for values in zip(*pairs, strict=True))
    estimator = LoggEstimator(device="cpu", precision="32-true")
    screened = estimator.predict_labels(flux, ivar=ivar).findings
    assert examined == [1]
    fitted = estimator.predict_labels(flux, ivar=ivar, velocity="fit").findings
    assert examined[1:] and set(examined[1:]) == {5}
    off = (screened.velocity - fitted.velocity) / fitted.velocity_err
    assert abs(off[:4]).max() < 0.7 and fitted.velocity[4] == pytest.approx(300, abs=10)


def test_a_velocity_from_a_peak_of_noise_is_told(estimator):
    """Turn-off stars at S/N 2: velocities that are far off have rivals, and raise an alarm."""
    velocities = np.linspace(-450.0, 450.0, 24)
    pairs = [observed("turn-off", 2.0, seed, velocity=v) for seed, v in enumerate(velocities)]
    flux, ivar = (np.stack(values) for values in zip(*pairs, strict=True))
    found = estimator.predict_labels(flux, ivar=ivar, velocity="fit", on_error="nan")
    off = np.abs(found.findings.velocity - velocities) > np.maximum(30, 5 * found.findings.velocity_err)
    told = (found.batch.flags & Flag.ALARMS) != 0
    assert off.sum() >= 3 and told[off].mean() > 0.8
    sure = found.findings.velocity_lead > 15
    assert off[sure].sum() <= 1 < off[~sure].sum()
    bright = estimator.predict_labels(*(x[None] for x in observed("turn-off", 10.0)[:1]), velocity="fit")
    assert bright.findings.velocity_lead[0] > 60
