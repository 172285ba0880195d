"""Measure the correction of the library's line strengths on real stars, and how good it is.

usage: python scripts/calibrate_library.py DATA [--exclude NAME ...] [--folds K] [--out FILE]

DATA holds sun_sao2010.npz (the solar irradiance atlas of Chance & Kurucz 2010: wave_A, flux, good) and
stelib.npz with stelib.csv (STELIB, Le Borgne et al. 2003: wave_i in air, flux_i; index, name, teff, logg, mh,
velocity_kms, note). The Sun gives the correction, pixel by pixel. With --terms gravity, giants against
dwarfs of STELIB give a term with gravity, after the pattern common to all stars, the instrument's, has been
taken out; with --exclude sun the whole correction is theirs. Stars with a note are left out. --folds K
judges this by cross-validation and writes the K tables that leave a fold out beside FILE.
"""

import argparse
import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from specvit.constants import FWHM_PER_SIGMA, SPEED_OF_LIGHT
from specvit.grid import TELLURIC, Resampler, air_to_vacuum, matching_sigma
from specvit.grid.edges import edges_from_centres
from specvit.stars import Emulator, LineCalibration
from specvit.stars.linecalibration import COORDINATES, solar_log_ratio
from specvit.stars.lowresolution import LowResolution
from specvit.stars.residuals import (
    LABEL_ERR,
    StarResidual,
    expected_labels,
    fit_labels,
    fit_terms,
    line_errors,
)

SUN_LABELS = (5772.0, 4.438, 0.0, 0.0, 0.0)
SUN_FWHM, SUN_VELOCITY = 0.40, 0.4  # Å; km/s: gravitational redshift less convective blueshift, measured
STELIB_FWHM = 3.3  # Å
TAU_ERR = 0.01  # of the Sun's optical depths; the evidence of STELIB is best there
GIANT = 3.3  # log g below which a star counts as a giant
#: By the evidence, over single lines, 14 Å, 110 Å and all: a star's own line errors, and those with gravity.
LINE_ERR = (0.13, 0.066, 0.066, 0.05)
TERM_ERR = {"gravity": (0.08, 0.04, 0.066, 0.03), "temperature": (0.08, 0.04, 0.066, 0.03)}
SUN_ERR = (0.13, 0.06, 0.06, 0.05)  # of the correction itself, where the Sun is left out
INSTRUMENT_ERR = 0.006
STARTS = np.array(
    [[4200, 1.8, -0.3, 0.1, 0], [4900, 2.8, -0.2, 0.1, 0], [5700, 4.2, -0.2, 0.1, 0], [4300, 4.6, 0, 0, 0]]
)


def in_bands(wave, margin=0.0):
    """Where `wave` lies in a telluric band, widened by `margin` Å: there real spectra tell nothing."""
    return np.any([(wave > low - margin) & (wave < high + margin) for low, high in TELLURIC.values()], 0)


def read_sun(data, emulator):
    """Normalised flux of the Sun and of its model, at the emulator's pixels and LSF."""
    grid = emulator.grid
    with np.load(data / "sun_sao2010.npz") as atlas:
        edges = edges_from_centres(atlas["wave_A"] / (1 + SUN_VELOCITY / SPEED_OF_LIGHT))
        smooth = Resampler(edges, grid, matching_sigma(grid, SUN_FWHM / FWHM_PER_SIGMA))
        observed = smooth(atlas["flux"], mask=~atlas["good"])
    labels = torch.tensor([SUN_LABELS])
    with torch.no_grad():
        lines, continuum = (
            x[0].double().numpy() for x in (emulator.normalised(labels), emulator.continuum(labels))
        )
    # Continuum: pixels near it count, those that then lie off (lines the library lacks) are left out.
    ratio, good = observed.flux / lines / continuum, ~observed.mask & ~in_bands(grid.wave)
    powers = np.polynomial.chebyshev.chebvander(np.linspace(-1, 1, len(grid)), 9)
    usable = good
    for _ in range(10):
        weight = np.where(usable, np.clip(lines, 0, 1) ** 8, 0)
        filled = np.where(good, ratio, 0)
        level = powers @ np.linalg.lstsq(powers * weight[:, None], filled * weight, rcond=None)[0]
        off = ratio / level - 1
        usable = good & (np.abs(off) < 3 * max(0.004, np.std(off[usable & (lines > 0.9)])))
    return np.where(good, observed.flux / continuum / level, 1.0), lines, good


def read_stars(data, grid):
    """STELIB's stars without a note: name, labels (3,), flux and valid (c,) in cells of `grid`."""
    stars = []
    spectra = np.load(data / "stelib.npz")
    for row in csv.DictReader((data / "stelib.csv").open()):
        if row["note"]:
            continue
        redshift = float(row["velocity_kms"]) / SPEED_OF_LIGHT
        wave = air_to_vacuum(spectra[f"wave_{row['index']}"]) / (1 + redshift)
        seen = Resampler(edges_from_centres(wave), grid)(spectra[f"flux_{row['index']}"])
        valid = ~seen.mask & ~in_bands(grid.wave * (1 + redshift), 2.0)
        labels = np.array([float(row[key]) for key in ("teff", "logg", "mh")])
        stars.append(
            {"name": row["name"], "labels": labels, "flux": seen.flux, "valid": valid, "noise": 0.006}
        )
    return stars


def solar_calibration(emulator, sun, wave):
    """`LineCalibration` of the Sun alone."""
    observed, lines, good = sun
    log_ratio = np.interp(wave, emulator.grid.wave, solar_log_ratio(observed, lines, good, tau_err=TAU_ERR))
    return LineCalibration(wave, np.where(in_bands(wave), 0, log_ratio), lsf_fwhm=lsf_fwhm(emulator.grid))


def lsf_fwhm(grid):
    """Mean FWHM (Å) of the grid's line spread function."""
    return float(FWHM_PER_SIGMA * grid.lsf_sigma.mean())


def linearise(stars, model, shifts=None):
    """Each star's `Linearised` at its literature labels, or `shifts` (stars, 5) errors off."""
    shifts = np.zeros((len(stars), 5)) if shifts is None else np.clip(shifts, -3, 3) * LABEL_ERR
    for star, shift in zip(stars, shifts, strict=True):
        star["linear"] = linear = model.linearise(expected_labels(star["labels"]) + shift)
        if "kept" not in star:
            kept = star["valid"]
            for _ in range(4):
                y = np.where(
                    star["valid"], np.log(np.where(star["valid"], star["flux"], 1)) - linear.log_flux, 0
                )
                fit = linear.nuisance @ np.linalg.lstsq(linear.nuisance[kept], y[kept], rcond=None)[0]
                kept = star["valid"] & (np.abs(y - fit) < 5 * np.std((y - fit)[kept]))
            star["kept"] = kept


def residuals(stars, terms):
    """`StarResidual` of each star, with the coordinates of `terms` ("sun": 1)."""
    made = []
    for star in stars:
        literature = expected_labels(star["labels"])
        labels = torch.as_tensor(literature)[None]
        x = [1.0 if term == "sun" else float(COORDINATES[term](labels)) for term in terms]
        spectrum = star["flux"], star["kept"], x, star["noise"]
        made.append(StarResidual.of(star["linear"], *spectrum, literature))
    return made


def measure(stars, terms):
    """`TermFit` of stars, with the priors stated above."""
    errors = [SUN_ERR if term == "sun" else TERM_ERR[term] for term in terms]
    return fit_terms(residuals(stars, terms), LINE_ERR, errors, INSTRUMENT_ERR)


def set_noise(stars, terms):
    """Give every star the noise with which its χ² per cell is one."""
    for _ in range(3):
        for star, chi2 in zip(stars, measure(stars, terms).chi2, strict=True):
            star["noise"] *= float(np.clip(chi2**0.7, 0.3, 3))


def with_terms(base, fit, terms, stars, grid):
    """`base` with the terms of `fit`, from cells of `grid` to the sampling of the table."""
    free = ~in_bands(base.wave)
    tables = {t: np.interp(base.wave, grid.wave, b) * free for t, b in zip(terms, fit.terms, strict=True)}
    labels = torch.as_tensor(np.array([expected_labels(star["labels"]) for star in stars]))
    log_ratio = base.log_ratio + tables.pop("sun", 0.0)
    limits = {t: (float(COORDINATES[t](labels).min()), float(COORDINATES[t](labels).max())) for t in tables}
    record = {"stars": [star["name"] for star in stars]}
    return LineCalibration(base.wave, log_ratio, tables, limits, base.lsf_fwhm, record)


def judge(stars, calibrations, emulator, known):
    """Labels of every star by a plain χ² fit and by one that knows of line errors: two arrays (n, 5)."""
    plain, weighted, models = [], [], {}
    for star, calibration in zip(stars, calibrations, strict=True):
        key = id(calibration)
        if key not in models:
            seen = emulator if calibration is None else emulator.calibrated(calibration)
            models[key] = LowResolution(seen, STELIB_FWHM, known)
        noise = np.hypot(star["noise"], INSTRUMENT_ERR)
        first = fit_labels(models[key], star["flux"], star["kept"], noise, STARTS)[0]
        plain.append(first)
        weighted.append(fit_labels(models[key], star["flux"], star["kept"], noise, first[None], LINE_ERR)[0])
    return np.array(plain), np.array(weighted)


def print_judgement(title, stars, labels):
    """Bias and median absolute difference of log g and [M/H], for giants and dwarfs."""
    literature = np.array([star["labels"] for star in stars])
    off, giant = labels[:, :3] - literature, literature[:, 1] < GIANT
    for name, chosen in (("giants", giant), ("dwarfs", ~giant)):
        bias, size = np.median(off[chosen], 0), np.median(np.abs(off[chosen]), 0)
        standard = 1.253 * np.std(off[chosen], 0) / np.sqrt(chosen.sum())
        print(
            f"{title:34s} {name} ({chosen.sum()}): log g {bias[1]:+.2f} ± {standard[1]:.2f}, {size[1]:.2f}; "
            f"[M/H] {bias[2]:+.2f} ± {standard[2]:.2f}, {size[2]:.2f}; Teff {bias[0]:+.0f}",
            flush=True,
        )


def residual_rms(stars, fits, terms):
    """Weighted rms of what no nuisance explains, giants and dwarfs, with the instrument's pattern removed."""
    rms = []
    for made, fit in zip(residuals(stars, terms), fits, strict=True):
        r = made.residual - fit.instrument[made.cells] - made.depth @ (made.coordinates @ fit.terms)
        v = made.nuisance @ made.nuisance.T + 0.005**2 * np.eye(r.size)
        left = r - made.nuisance @ (made.nuisance.T @ np.linalg.solve(v, r))
        rms.append(np.std(left))
    giant = np.array([star["labels"][1] < GIANT for star in stars])
    return np.sqrt(np.mean(np.square(rms)[giant])), np.sqrt(np.mean(np.square(rms)[~giant]))


class Measurement:
    """All that is read once: the Sun, the stars in cells with their noise, and the Sun's correction."""

    def __init__(self, data, exclude, terms, judged):
        self.emulator = Emulator.load()
        self.known = ~in_bands(self.emulator.grid.wave)
        wave = LineCalibration.sampling(7096.0, 8854.0)
        self.sun = read_sun(data, self.emulator)
        self.with_sun = "sun" not in exclude
        blank = LineCalibration(wave, np.zeros(wave.size), lsf_fwhm=lsf_fwhm(self.emulator.grid))
        self.base = solar_calibration(self.emulator, self.sun, wave) if self.with_sun else blank
        self.terms = terms if self.with_sun else ("sun", *terms)
        model = LowResolution(self.emulator.calibrated(self.base), STELIB_FWHM, self.known)
        self.grid = model.grid
        self.stars = [star for star in read_stars(data, self.grid) if star["name"] not in exclude]
        linearise(self.stars, model)
        if not self.terms and not judged:
            return
        set_noise(self.stars, self.terms)
        self.shifts = measure(self.stars, self.terms).label_shift
        linearise(self.stars, model, self.shifts)
        set_noise(self.stars, self.terms)

    def calibration(self, stars):
        """`LineCalibration` from `stars` (and the Sun, if it is in)."""
        made = replace(self.base, record={"stars": []})
        if self.terms:
            made = with_terms(self.base, measure(stars, self.terms), self.terms, stars, self.grid)
        made.record["stars"] = (["sun"] if self.with_sun else []) + made.record["stars"]
        made.record["command"] = "calibrate_library.py DATA " + " ".join(sys.argv[2:])
        made.record["source"] = "SAO2010 solar atlas (Chance & Kurucz 2010), STELIB (Le Borgne et al. 2003)"
        made.record["settings"] = {
            "tau_err": TAU_ERR,
            "line_err": LINE_ERR,
            "term_err": {term: TERM_ERR[term] for term in self.terms if term != "sun"},
            "instrument_err": INSTRUMENT_ERR,
        }
        return made

    def report_sun(self, calibration):
        """Print how well the Sun is reproduced without and with the correction."""
        observed, lines, good = self.sun
        with torch.no_grad():
            after = self.emulator.calibrated(calibration).normalised(torch.tensor([SUN_LABELS]))[0].numpy()
        rms = [np.std((x - observed)[good]) for x in (lines, after)]
        print(f"the Sun: rms {rms[0]:.4f} before, {rms[1]:.4f} after")

    def folds(self, k):
        """Fold of each star, 0 … k − 1, in turn along log g."""
        order = np.argsort([star["labels"][1] for star in self.stars])
        fold = np.empty(order.size, int)
        fold[order] = np.arange(order.size) % k
        return fold


def main():
    """Make the table; with --folds, the tables that leave stars out and what they are worth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--exclude", nargs="*", default=[], help='stars left out; "sun" is one')
    parser.add_argument("--terms", nargs="*", default=[], choices=list(COORDINATES))
    parser.add_argument("--folds", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("src/specvit/data/line_calibration.safetensors"))
    parser.add_argument("--extract", type=Path, help="write a tenth of the Sun's pixels, for the tests")
    arguments = parser.parse_args()
    measurement = Measurement(arguments.data, arguments.exclude, tuple(arguments.terms), arguments.folds)
    calibration = measurement.calibration(measurement.stars)
    calibration.save(arguments.out)
    measurement.report_sun(calibration)
    if arguments.extract:
        observed, _, good = measurement.sun
        pixels = np.flatnonzero(good & (np.arange(good.size) % 10 == 5))
        source = (
            "Chance & Kurucz (2010), SAO2010 solar irradiance, continuum-normalised, at the LSF of PFS MR"
        )
        np.savez_compressed(
            arguments.extract,
            pixels=pixels.astype(np.int16),
            flux=observed[pixels].astype(np.float16),
            source=source,
        )
    if arguments.folds:
        cross_validate(measurement, arguments.folds, arguments.out)


def cross_validate(measurement, k, out):
    """Write the tables of every fold, and print what held-out stars say of none, the Sun's, and all."""
    stars, fold, emulator = measurement.stars, measurement.folds(k), measurement.emulator
    made = []
    for i in range(k):
        made.append(measurement.calibration([s for s, f in zip(stars, fold, strict=True) if f != i]))
        made[-1].record["left_out"] = [s["name"] for s, f in zip(stars, fold, strict=True) if f == i]
        made[-1].save(out.with_name(f"{out.stem}_fold{i}{out.suffix}"))
    for title, terms, seen in (
        ("none", (), LowResolution(emulator, STELIB_FWHM, measurement.known)),
        (
            "the Sun's",
            (),
            LowResolution(emulator.calibrated(measurement.base), STELIB_FWHM, measurement.known),
        ),
        ("Sun and terms", measurement.terms, None),
    ):
        if seen is not None:
            linearise(stars, seen, measurement.shifts)
        fits = [measure([s for s, f in zip(stars, fold, strict=True) if f != i], terms) for i in range(k)]
        fits = [fits[f] for f in fold]
        rms, made = residual_rms(stars, fits, terms), residuals(stars, terms)
        giant = np.array([star["labels"][1] < GIANT for star in stars])
        for name, chosen, own_rms in (("giants", giant, rms[0]), ("dwarfs", ~giant, rms[1])):
            group = np.flatnonzero(chosen)
            common = [fits[i].instrument for i in group], [fits[i].terms for i in group]
            err, err_err, _ = line_errors([made[i] for i in group], *common, LINE_ERR, iterations=5)
            errors = ", ".join(f"{a:.3f} ± {b:.3f}" for a, b in zip(err, err_err, strict=True))
            print(
                f"{title:14s} {name}: rms {own_rms:.4f}; line errors at 1.7, 14, 110 Å, all: {errors}",
                flush=True,
            )
    n = len(stars)
    for title, calibrations in (
        ("none", [None] * n),
        ("the Sun's", [measurement.base] * n),
        ("Sun and terms", [made[f] for f in fold]),
    ):
        plain, weighted = judge(stars, calibrations, emulator, measurement.known)
        print_judgement(f"{title}, χ²", stars, plain)
        print_judgement(f"{title}, χ² with line errors", stars, weighted)


if __name__ == "__main__":
    main()
