"""Spectra as strange as a seed makes them: an answer as good as that of the star, an alarm, or a reason.

`fuzzed` draws a star, an instrument, the way in which its spectrum is handed over (units, axis, order, type
of numbers, mask, kind of uncertainty, shape) and damage. What is only another way to write the same spectrum
must change nothing; what is damage may be refused, or raise an alarm.
"""

import warnings
from dataclasses import dataclass, field
from functools import lru_cache

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
from specutils import Spectrum, SpectrumCollection

from specvit import PFS_MR, LoggEstimator
from specvit.assess.scene import STARS, Scene
from specvit.exceptions import SpecvitWarning
from specvit.grid import PixelGrid, vacuum_to_air
from specvit.spectra import Flag, SpectrumError

FLAM = u.erg / u.s / u.cm**2 / u.AA
AXES = (u.AA, u.nm, u.um, u.m, u.GHz, u.Hz, 1 / u.cm, u.eV, u.erg)
FLUXES = (
    u.one, FLAM, u.W / u.m**2 / u.um, u.Jy, u.mJy, u.photon / u.s / u.cm**2 / u.AA, FLAM / u.sr,
    u.L_sun / u.AA, u.ABmag, u.STmag, u.dex(FLAM), u.ct, u.mag, u.K, u.erg / u.s / u.cm**2,
)  # fmt: skip
TYPES = ("f8", "f4", "f2", ">f8", ">f4", "i2", "i4", ">i4", "u2", "i8", "O", "c16", "?")
#: One of these is in every message: what is wrong is named.
NAMES = (
    "flux", "spectra", "spectrum", "spectral_axis", "uncertainty", "mask", "ivar", "resolution", "medium",
    "instrument", "redshift", "coverage", "velocity", "no overlap with the grid", "no valid pixel",
    "lower_resolution",
)  # fmt: skip


@lru_cache
def instruments():
    """Pixels of PFS MR, of R 2,000, of R 4,000 up to 8,600 Å, and of the triplet alone."""
    grids = [PFS_MR]
    for low, high, step, power in (
        (7112, 8840, 1.4, 2000),
        (7112, 8600, 0.7, 4000),
        (8400, 8840, 0.45, 4800),
    ):
        edges = np.arange(low, high, float(step))
        grids.append(PixelGrid(edges, (edges[1:] + edges[:-1]) / 2 / power / 2.3548))
    return grids


@lru_cache
def noiseless(star, k):
    """F_λ of unit median, and how σ goes with it, of a star seen by an instrument."""
    scene = Scene(STARS[star], 1.0, instruments()[k])
    light = scene.light()
    return light, scene.sigma(light)


@dataclass
class Case:
    """A spectrum and how it is handed over."""

    star: str
    given: object
    options: dict = field(default_factory=dict)
    untouched: object = None
    told: str = ""


def numbers(rng, size, dtype, scale):
    """Values in a type of numbers; integers are counts, so that the median is 20 to 20,000."""
    kind = np.dtype(dtype).kind
    if kind in "iu":
        scale = np.exp(rng.uniform(np.log(20), np.log(8000)))
    elif dtype == "f2":
        scale = 1.0
    return scale, (lambda x: np.rint(x).astype(dtype) if kind in "iu" else x.astype(dtype))


def damaged(rng, flux, sigma, mask):
    """One kind of damage, done to arrays (npix,); what it was."""
    n = flux.size
    some = rng.random(n) < rng.choice([0.002, 0.02, 0.2, 0.6])
    start = rng.integers(n)
    block = slice(start, start + rng.integers(1, n))
    extreme = rng.choice([-999.0, -9999.0, 1e18, 1e30, -1e30, 1e-30, 0.0, 1e5])
    with np.errstate(all="ignore"):
        kinds = {
            "NaN here and there": lambda: flux.__setitem__(some, np.nan),
            "infinite here and there": lambda: flux.__setitem__(some, rng.choice([np.inf, -np.inf])),
            "NaN throughout a block": lambda: flux.__setitem__(block, np.nan),
            "one extreme pixel": lambda: flux.__setitem__(start, extreme),
            "extreme here and there": lambda: flux.__setitem__(some, extreme),
            "a block of zeros": lambda: flux.__setitem__(block, 0),
            "zero": lambda: flux.__setitem__(slice(None), 0),
            "constant": lambda: flux.__setitem__(slice(None), 1),
            "negative": lambda: flux.__imul__(-1),
            "NaN": lambda: flux.__setitem__(slice(None), np.nan),
            "pure noise": lambda: flux.__setitem__(slice(None), rng.standard_normal(n)),
            "σ is huge": lambda: sigma.__imul__(10.0 ** rng.uniform(2, 30)),
            "σ is tiny": lambda: sigma.__imul__(10.0 ** -rng.uniform(2, 30)),
            "σ is zero in places": lambda: sigma.__setitem__(some, 0),
            "σ is negative": lambda: sigma.__imul__(-1),
            "σ is NaN in places": lambda: sigma.__setitem__(some, np.nan),
            "σ is infinite in places": lambda: sigma.__setitem__(some, np.inf),
            "σ is huge in places": lambda: sigma.__setitem__(some, 1e30),
            "masked here and there": lambda: mask.__setitem__(some, True),
            "a block is masked": lambda: mask.__setitem__(block, True),
            "all is masked": lambda: mask.__setitem__(slice(None), True),
        }
        name = rng.choice(list(kinds))
        kinds[name]()
    return str(name)


def axis_of(rng, wave, medium, told):
    """Wavelengths in Å to an axis in any unit, or one that is none."""
    wave = vacuum_to_air(wave) if medium == "air" else wave
    unit = AXES[rng.integers(len(AXES))]
    axis = (wave * u.AA).to(unit, u.spectral())
    values = axis.value.copy()
    if rng.random() < 0.06:
        wrong = rng.choice(["unsorted", "repeated", "NaN", "zero", "negative", "pixel numbers", "infinite"])
        told.append(f"axis {wrong}")
        k = rng.integers(1, values.size)
        if wrong == "unsorted":
            rng.shuffle(values)
        elif wrong == "pixel numbers":
            values = np.arange(values.size, dtype=float)
        else:
            new = {
                "repeated": values[k - 1],
                "NaN": np.nan,
                "zero": 0,
                "negative": -values[k],
                "infinite": np.inf,
            }
            values[k] = new[str(wrong)]
    told.append(f"axis in {unit}")
    return values * unit


def fuzzed(seed):
    """A `Case`."""
    rng = np.random.default_rng([2026, seed])
    star, k = list(STARS)[rng.integers(len(STARS))], rng.choice(4, p=[0.4, 0.2, 0.2, 0.2])
    grid, (light, sigma) = instruments()[k], noiseless(star, int(k))
    sigma = sigma / np.exp(rng.uniform(np.log(5), np.log(200)))
    told, mask, wave = [], np.zeros(light.size, bool), grid.wave
    flux = light + sigma * rng.standard_normal(light.size)
    medium = rng.choice(["air", "vacuum"])
    plain = Spectrum(
        flux * u.one,
        wave * u.AA,
        uncertainty=StdDevUncertainty(sigma),
        meta={"resolution": grid.resolving_power},
    )
    case = Case(star, None, untouched=plain)
    if rng.random() < 0.6:
        told.append(damaged(rng, flux, sigma, mask))
    if rng.random() < 0.25 and k == 0:
        as_arrays(case, rng, flux, sigma, mask, told)
    else:
        as_spectrum(case, rng, grid, flux, sigma, mask, medium, told)
    if rng.random() < 0.1:
        wrong = (
            {"medium": "water"}, {"resolution": -1.0}, {"resolution": np.nan}, {"resolution": np.ones(7)},
            {"instrument": "Hubble-2"}, {"velocity": "guess"}, {"min_coverage": 2}, {"mask": "moon"},
            {"mask": (8000, 7000)}, {"lower_resolution": "maybe"}, {"resolution": 5 * u.s},
        )  # fmt: skip
        case.options |= wrong[rng.integers(len(wrong))]
        told.append(f"options {case.options}")
    if rng.random() < 0.15:
        case.options["velocity"] = case.options.get("velocity", "fit")
    case.told = f"seed {seed}, {star}: " + ", ".join(told) + case.told
    return case


def as_arrays(case, rng, flux, sigma, mask, told):
    """Fluxes on the grid."""
    dtype = str(rng.choice(TYPES))
    scale, cast = numbers(rng, flux.size, dtype, 10.0 ** rng.uniform(-25, 25))
    told.append(f"array of {dtype}")
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = cast(flux * scale)
        ivar = (sigma * scale) ** -2.0
    values = np.ma.array(values, mask=mask) if mask.any() else values
    shape = rng.choice(
        ["row", "one", "many", "list", "strided", "cut", "transposed", "empty", "scalar", "deep"]
    )
    told.append(f"shape {shape}")
    forms = {
        "row": lambda x: x[None],
        "one": lambda x: x,
        "many": lambda x: np.ma.stack([x, x]) if np.ma.isMaskedArray(x) else np.stack([x, x]),
        "list": lambda x: x.tolist(),
        "strided": lambda x: np.repeat(x, 2)[::2],
        "cut": lambda x: x[: rng.integers(0, x.size)],
        "transposed": lambda x: x[:, None],
        "empty": lambda x: x[None][:0],
        "scalar": lambda x: x[0],
        "deep": lambda x: x[None, None],
    }
    case.given = forms[str(shape)](values)
    if rng.random() < 0.6:
        case.options["ivar"] = forms[str(shape)](ivar) if rng.random() < 0.9 else ivar[:-1]


def as_spectrum(case, rng, grid, flux, sigma, mask, medium, told):
    """A Spectrum, or several in a cube, list or collection."""
    axis = axis_of(rng, grid.wave, medium, told)
    unit = FLUXES[rng.choice(len(FLUXES), p=[0.15] + [0.075] * 10 + [0.025] * 4)]
    told.append(f"flux in {unit}")
    wave = grid.wave * u.AA
    flux, sigma = flux.copy(), sigma.copy()
    logarithmic = hasattr(unit, "physical_unit")
    errors = int(rng.choice(4))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if unit in (u.one, u.ct, u.mag, u.K, u.erg / u.s / u.cm**2):
            dtype = str(rng.choice(TYPES))
            scale, cast = numbers(rng, flux.size, dtype, 10.0 ** rng.uniform(-25, 25))
            told.append(f"numbers {dtype}")
            flux, sigma = cast(flux * scale), sigma * scale
        elif logarithmic:
            sigma = 1.0857 * sigma / flux if unit != u.dex(FLAM) else 0.4343 * sigma / flux
            # another axis than wave, air for vacuum, changes f_nu by a constant
            physical = (flux * 1e-15 * FLAM).to(unit.physical_unit, u.spectral_density(wave))
            flux, errors = unit.from_physical(physical.value), min(errors, 1)
        elif unit.physical_type != FLAM.physical_type and unit.is_equivalent(
            FLAM, u.spectral_density(1 * u.AA)
        ):
            flux, sigma = ((x * 1e-15 * FLAM).to_value(unit, u.spectral_density(wave)) for x in (flux, sigma))
        else:
            scale = 10.0 ** rng.uniform(-25, 10)
            flux, sigma = flux * scale, sigma * scale
        uncertainty = (
            None, StdDevUncertainty(sigma), VarianceUncertainty(sigma**2), InverseVariance(sigma**-2.0),
        )[errors]  # fmt: skip
    told.append(f"uncertainty {type(uncertainty).__name__}")
    if rng.random() < 0.5:
        axis, flux, mask = axis[::-1], flux[::-1], mask[::-1]
        uncertainty = uncertainty if errors == 0 else type(uncertainty)(uncertainty.array[::-1])
    kind = ("bool", "int", "words", "float")[rng.integers(4)]
    bad = {"bool": mask, "int": mask * 4, "words": np.where(mask, "True", "False"), "float": mask * 1.0}[kind]
    meta = {"resolution": float(np.median(grid.resolving_power)), "medium": str(medium)}
    if rng.random() < 0.2:
        case.options |= meta  # said by the caller instead
        meta = {}
    more = {
        "mask": bad if mask.any() and rng.random() < 0.9 else (mask if mask.any() else None),
        "meta": meta,
    }
    shape = rng.choice(["one", "cube", "list", "collection", "short"], p=[0.6, 0.12, 0.12, 0.1, 0.06])
    told.append(f"shape {shape}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            case.given = assembled(rng, shape, flux, unit, axis, uncertainty, more)
        except Exception as error:  # specutils refuses it: nothing for this package to answer
            case.given, case.told = None, f"; {error}"


def assembled(rng, shape, flux, unit, axis, uncertainty, more):
    """A Spectrum or several of it."""

    def with_unit(values):
        return (
            values * unit if hasattr(unit, "physical_unit") else u.Quantity(values, unit, dtype=values.dtype)
        )

    def turn(x):
        return None if x is None else np.stack([np.stack([x] * 2)] * 2)

    if shape == "cube":
        errors = None if uncertainty is None else type(uncertainty)(turn(uncertainty.array))
        values, mask = with_unit(turn(flux)), turn(more["mask"])
        return Spectrum(values, axis, uncertainty=errors, mask=mask, meta=more["meta"], spectral_axis_index=2)
    one = Spectrum(with_unit(flux), axis, uncertainty=uncertainty, **more)
    if shape == "list":
        other = Spectrum(with_unit(flux[: flux.size // 2]), axis[: flux.size // 2], meta=more["meta"])
        return [one, other, one]
    if shape == "collection":
        return SpectrumCollection.from_spectra([one, one])
    return one[: rng.integers(1, 5)] if shape == "short" else one


def arrays_of(case):
    """What the caller's arrays hold, to see that nothing was written to them."""
    one = case.given
    values = [one.data, one.spectral_axis.value] if isinstance(one, Spectrum) else [one]
    return [np.array(np.ma.getdata(x)) for x in values if isinstance(x, np.ndarray)]


def verdict(estimator, case):
    """What is wrong with the answer to a case, or ""; and which of its spectra are off and not told, (n,)."""
    before = arrays_of(case)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", SpecvitWarning)
            found = estimator.predict_labels(case.given, on_error="nan", **case.options)
    except (SpectrumError, ValueError, TypeError) as error:
        named = any(name in str(error) for name in NAMES)
        return "" if named else f"{type(error).__name__}: {error}", []
    except Exception as error:  # any other is a fault, a warning among them
        return f"{type(error).__name__}: {error}", []
    changed = not all(
        x.tobytes() == y.tobytes() if x.dtype != object else list(x.flat) == list(y.flat)
        for x, y in zip(before, arrays_of(case), strict=True)
    )
    mean, sigma = (x[:, 0] for x in found.columns(["logg"]))
    flags, batch = found.batch.flags, found.batch
    reasons = np.array([bool(error) for error in batch.errors])
    refused = (flags & Flag.UNUSABLE) > 0
    if changed:
        return "the caller's arrays were changed", []
    if (refused != reasons).any() or (np.isfinite(mean) & np.isfinite(sigma) == refused).any():
        return f"NaN without a reason, or a reason without NaN: {mean}, {batch.errors}", []
    if not (np.isfinite(found.findings.velocity) | refused).all():
        return "nothing was measured", []
    return "", untold(found, np.full(len(mean), STARS[case.star][1]))


def untold(found, truth):
    """Which spectra have a log g more than 3 σ off and no alarm, (n,)."""
    mean, sigma = (x[:, 0] for x in found.columns(["logg"]))
    return (np.abs(mean - truth) > 3 * sigma) & ((found.batch.flags & Flag.ALARMS) == 0)


def faults(estimator, seeds):
    """What is wrong with answers; how many are off and not told, of the same stars untouched, and of all."""
    wrong, off, stars, spectra = [], [], [], []
    for seed in seeds:
        case = fuzzed(seed)
        if case.given is None:
            continue
        fault, shares = verdict(estimator, case)
        if fault:
            wrong.append(f"{case.told}\n    {fault}")
        elif len(shares):
            off.append(np.mean(shares))
            stars.append(STARS[case.star][1])
            spectra.append(case.untouched)
    plain = untold(estimator.predict_labels(spectra, medium="vacuum"), np.array(stars))
    return wrong, np.sum(off), plain.sum(), len(off)


@pytest.fixture(scope="module")
def estimator():
    return LoggEstimator(device="cpu")


@pytest.mark.parametrize(("first", "n"), [(0, 120), pytest.param(120, 10_880, marks=pytest.mark.slow)])
def test_strange_spectra_are_answered_or_refused_with_a_reason(estimator, first, n):
    wrong, off, plain, answered = faults(estimator, range(first, first + n))
    assert not wrong, f"{len(wrong)} of {n}:\n" + "\n".join(wrong[:20])
    assert answered > 0.4 * n
    # A count of rare events: three standard deviations of the larger one.
    assert off <= plain + 3 * max(plain, 1) ** 0.5, (off, plain, answered)
