"""How a network does on real stars: STELIB, LAMOST, and the Sun at many resolutions and in many windows.

usage: python scripts/judge_real_stars.py DATA [--weights W ...] [--json OUT] [--out FOLDER] [--device cpu]

DATA is a folder with

* stelib.npz, stelib.csv: STELIB (Le Borgne et al. 2003, A&A 402, 433): wave_i in air, flux_i, no errors;
  index, name, teff, logg, mh, velocity_kms, note (binaries, and stars whose labels are doubtful);
* lamost.npz, lamost.csv: wave_i in vacuum, flux_i, err_i, good_i; index, teff, logg, mh, velocity_kms;
* sun_sao2010.npz: the solar irradiance atlas of Chance & Kurucz (2010, JQSRT 111, 1289): wave_A in vacuum,
  flux, good; FWHM 0.40 Å;
* HD100006_IndoUS.npz, .json: a giant of Indo-US (Valdes et al. 2004, ApJS 152, 251): wave_A in air, flux,
  good; R, teff, logg, logg_err, feh.

What spectra do not say of themselves is said of them: medium, line spread function, velocity, telluric bands
(masked as observed). Each figure that has a target is followed by it if it is missed. Several weights are
those of a cross-validation, in the order of the folds of scripts/calibrate_library.py: every star of STELIB
is judged with the weights that did not see it, all else with the first. With --json everything is written,
star by star; --out docs/results writes the tables and the figure of the page "Any spectrograph".
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.nddata import StdDevUncertainty
from astropy.table import vstack
from specutils import Spectrum

from specvit import LoggEstimator
from specvit.assess import compare_with_literature
from specvit.assess.figures import save_figure
from specvit.assess.plots import plot_literature
from specvit.constants import FWHM_PER_SIGMA, SPEED_OF_LIGHT
from specvit.grid import PixelGrid, Resampler, edges_from_centres, matching_sigma, vacuum_to_air
from specvit.grid.instruments import TELLURIC
from specvit.weights import load_weights

#: Errors of the literature, where they are known: without them there are no pulls and no share within 1 σ.
STELIB_ERR = {"logg_err": 0.25}
LAMOST_ERR = {}
STELIB_FWHM = 3.3 * u.AA  # at the triplet; it varies between 3.0 and 4.0
LAMOST_POWER = 1800.0
GIANT, HOTTEST = 3.3, 6500.0  # log g below which a star is a giant; Teff above which it is out of range
SUN = {"teff": 5772.0, "logg": 4.438, "mh": 0.0}
SUN_FWHM, SUN_VELOCITY = 0.40, 0.4  # Å; km/s, gravitational less convective
SUN_SNR, SNR_WIDTH = (
    300.0,
    1.3,
)  # S/N of native pixels of this width in Å or wider; of finer ones less, as √width
SUN_POWERS = (21_000, 6000, 4000, 2500, 2000)
PIXELS_PER_FWHM = 2.2
#: Window in Å, whether telluric bands are cut, largest |Δ log g|.
SUN_WINDOWS = {
    "whole": ((7050.0, 8900.0), False, 0.15),
    "whole, bands cut": ((7050.0, 8900.0), True, 0.30),
    "8400-8850": ((8400.0, 8850.0), False, 0.15),
    "8460-8700": ((8460.0, 8700.0), False, 0.30),
    "7100-8100": ((7100.0, 8100.0), False, 0.30),
    "7100-8100, bands cut": ((7100.0, 8100.0), True, 0.30),
}
#: Largest |bias| beyond twice its error, largest median |Δ|, largest |bias| of [M/H], share within 1 σ.
STELIB_TARGETS = {"bias": 0.06, "median_abs": 0.22, "mh": 0.10, "within": (0.60, 0.76)}
LAMOST_TARGETS = {"bias": 0.20, "mh": 0.15}
SUN_MH = 0.12


def in_bands(wave, medium):
    """True in the telluric bands, for observed wavelengths in `medium`."""
    bands = np.array(list(TELLURIC.values()))
    bands = vacuum_to_air(bands) if medium == "air" else bands
    return np.any([(wave >= low) & (wave <= high) for low, high in bands], axis=0)


def read_rows(path):
    """Rows of a CSV file: names and notes as they are, all else as float."""
    with path.open() as file:
        return [
            {key: x if key in ("name", "note") else float(x) for key, x in row.items()}
            for row in csv.DictReader(file)
        ]


def read_stars(data, survey, medium, resolution):
    """Spectra of the stars of a survey, and their rows; `resolution` is R or, as a length, the FWHM."""
    rows, spectra = read_rows(data / f"{survey}.csv"), []
    with np.load(data / f"{survey}.npz") as arrays:
        for row in rows:
            wave, flux, err, good = (
                arrays[key] if (key := f"{what}_{row['index']:.0f}") in arrays else None
                for what in ("wave", "flux", "err", "good")
            )
            bad = ~np.isfinite(flux) | in_bands(wave, medium) | (False if good is None else ~good)
            spectra.append(
                Spectrum(
                    flux=flux.astype(float) * u.one,
                    spectral_axis=wave * u.AA,
                    radial_velocity=row["velocity_kms"] * u.km / u.s,
                    uncertainty=None if err is None else StdDevUncertainty(err.astype(float)),
                    mask=bad,
                    meta={"resolution": resolution},
                )
            )
    return spectra, rows


def options_of(predictor):
    """Options for weights that are not told of the instrument: let lower resolution pass."""
    return {} if load_weights(predictor.weights)[0].encoding == "instrument" else {"lower_resolution": "flag"}


def labels_of(rows, errors):
    """What the literature has, for `compare_with_literature`."""
    known = {key: np.array([row[key] for row in rows]) for key in ("teff", "logg", "mh")}
    return known | {key: np.full(len(rows), value) for key, value in errors.items()}


def fold_of(rows, k):
    """Number of the weights that judge each star: in turn along log g of the stars without a note."""
    sure = np.flatnonzero([not row["note"] for row in rows])
    fold = np.zeros(len(rows), int)
    fold[sure[np.argsort([rows[i]["logg"] for i in sure])]] = np.arange(sure.size) % k
    return fold


def judge_stelib(predictors, data):
    """Giants and dwarfs of STELIB, with and without the doubtful stars: table, and star by star."""
    spectra, rows = read_stars(data, "stelib", "air", STELIB_FWHM)
    fold, tables = fold_of(rows, len(predictors)), []
    for k, predictor in enumerate(predictors):
        own = [spectrum for spectrum, f in zip(spectra, fold, strict=True) if f == k]
        tables.append(predictor.predict_table(own, medium="air", **options_of(predictor)))
    predicted = vstack(tables)[np.argsort(np.argsort(fold, kind="stable"), kind="stable")]
    kind = np.array(["giants" if row["logg"] < GIANT else "dwarfs" for row in rows], object)
    sure = np.array([not row["note"] for row in rows])
    groups = {"sure": np.where(sure, kind, None), "with the doubtful": kind}
    return compare_with_literature(predicted, labels_of(rows, STELIB_ERR), groups, return_stars=True)


def judge_lamost(predictor, data):
    """LAMOST stars: table, and star by star."""
    spectra, rows = read_stars(data, "lamost", "vacuum", LAMOST_POWER)
    in_range = np.array(["in range" if row["teff"] < HOTTEST else None for row in rows], object)
    return compare_with_literature(
        spectra,
        labels_of(rows, LAMOST_ERR),
        {"lamost": in_range},
        predictor=predictor,
        medium="vacuum",
        return_stars=True,
        **options_of(predictor),
    )


def judge_giant(predictor, data):
    """What is said of HD 100006, and what is known of it: one dict of plain numbers."""
    about = json.loads((data / "HD100006_IndoUS.json").read_text())
    with np.load(data / "HD100006_IndoUS.npz") as star:
        spectrum = Spectrum(
            flux=star["flux"] * u.one,
            spectral_axis=star["wave_A"] * u.AA,
            mask=~star["good"],
            meta={"resolution": about["R"]},
        )
    answer = predictor.predict_table([spectrum], medium="air", **options_of(predictor))[0]
    row = {"name": about["star"], "logg_true": about["logg"], "logg_true_err": about["logg_err"]}
    row |= {"teff_true": about["teff"], "mh_true": about["feh"], "error": str(answer["error"])}
    return row | numbers_of(answer)


def numbers_of(answer):
    """Labels and errors of a row of `predict_table` as floats."""
    keys = [key for name in SUN for key in (name, f"{name}_err")]
    return {key: float(getattr(answer[key], "value", answer[key])) for key in keys}


def sun_seen(atlas, power, window, cut):
    """The Sun at resolving power `power` in native pixels of its own."""
    (low, high), wave = window, atlas["wave_A"] / (1 + SUN_VELOCITY / SPEED_OF_LIGHT)
    if power == max(SUN_POWERS):  # as it is
        seen = (wave >= low) & (wave <= high)
        wave, flux, bad = wave[seen], atlas["flux"][seen].astype(float), ~atlas["good"][seen]
        resolution = SUN_FWHM * u.AA
    else:
        width = 0.5 * (low + high) / power / PIXELS_PER_FWHM
        n = int((high - low) / width)
        wide = PixelGrid.linear(low, low + n * width, n, 1.0)
        grid = PixelGrid(wide.edges, wide.wave / power / FWHM_PER_SIGMA)
        smooth = Resampler(edges_from_centres(wave), grid, matching_sigma(grid, SUN_FWHM / FWHM_PER_SIGMA))
        made = smooth(atlas["flux"].astype(float), mask=~atlas["good"])
        wave, flux, bad = grid.wave, made.flux, made.mask
        resolution = power
    level, snr = np.median(flux[~bad]), SUN_SNR * min(1, np.sqrt(np.diff(wave).mean() / SNR_WIDTH))
    return Spectrum(
        flux=np.where(bad, level, flux) / level * u.one,
        spectral_axis=wave * u.AA,
        uncertainty=StdDevUncertainty(np.full(wave.size, 1 / snr)),
        mask=bad | (in_bands(wave, "vacuum") if cut else False),
        meta={"resolution": resolution},
    )


def judge_sun(predictor, data):
    """One dict of plain numbers for each resolution and window."""
    rows = []
    with np.load(data / "sun_sao2010.npz") as atlas:
        for power in SUN_POWERS:
            spectra = [sun_seen(atlas, power, window, cut) for window, cut, _ in SUN_WINDOWS.values()]
            table = predictor.predict_table(spectra, medium="vacuum", **options_of(predictor))
            for window, answer in zip(SUN_WINDOWS, table, strict=True):
                row = {"resolving_power": power, "window": window} | numbers_of(answer)
                row |= {f"{name}_true": truth for name, truth in SUN.items()}
                keys = ("snr", "coverage", "flags", "error")
                rows.append(row | {key: np.asarray(answer[key]).item() for key in keys})
    return rows


def miss(wrong, target):
    """The target, where it is missed."""
    return f" (target {target})" if wrong else ""


def print_group(table, by, group, targets):
    """One line for a group of stars; `targets` may be empty."""
    own = table[(table["by"] == by) & (table["group"] == group)].set_index("label")
    g, m = own.loc["logg"], own.loc["mh"]
    text = f"  {group:8s} {g['n']:3.0f} ({g['unusable']:.0f} unusable)  "
    text += f"log g {g['bias']:+.2f} ± {g['bias_err']:.2f}"
    if "bias" in targets:
        slack = 2 * g["bias_err"] if "within" in targets else 0
        text += miss(not abs(g["bias"]) <= targets["bias"] + slack, f"{targets['bias'] + slack:.2f}")
    text += f", median |Δ| {g['median_abs']:.2f}"
    if "median_abs" in targets:
        text += miss(not g["median_abs"] <= targets["median_abs"], targets["median_abs"])
    text += f", within 1 σ {with_error(g, 'within_1sigma')}"
    if "within" in targets:
        low, high = targets["within"]
        text += miss(not low <= g["within_1sigma"] <= high, f"{low:.0%}–{high:.0%}")
    text += f", pulls {with_error(g, 'pull_width')}; [M/H] {m['bias']:+.2f} ± {m['bias_err']:.2f}"
    print(text + (miss(not abs(m["bias"]) <= targets["mh"], targets["mh"]) if "mh" in targets else ""))


def print_sun(rows):
    """The table of the Sun: log g ± σ and [M/H] by window and resolution."""
    print(f"the Sun: log g ({SUN['logg']}), [M/H] (0)")
    for row in rows:
        off, (_, _, most) = abs(row["logg"] - SUN["logg"]), SUN_WINDOWS[row["window"]]
        text = f"  R {row['resolving_power']:6d}  {row['window']:21s} log g "
        if row["error"]:
            print(text + f"— ({row['error']})")
            continue
        text += f"{row['logg']:.2f} ± {row['logg_err']:.2f}" + miss(not off <= most, f"±{most}")
        text += (
            miss(not off <= 2 * row["logg_err"], "2 σ") + f", [M/H] {row['mh']:+.2f} ± {row['mh_err']:.2f}"
        )
        print(text + miss(not abs(row["mh"]) <= SUN_MH, f"±{SUN_MH}"))


def with_error(row, figure):
    """A figure and its error as text; a dash where labels have no errors to judge by."""
    return f"{row[figure]:.2f} ± {row[f'{figure}_err']:.2f}" if row["n_err"] else "–"


def star_cells(stelib, lamost):
    """Rows of text for each group of stars."""
    yield (
        "stars",
        "n",
        "bias of log g",
        "median size of Δ log g",
        "within 1 σ",
        "width of pulls",
        "bias of [M/H]",
    )
    for name, table, by, group in (
        ("STELIB, giants", stelib, "sure", "giants"),
        ("STELIB, dwarfs", stelib, "sure", "dwarfs"),
        ("STELIB, giants, all", stelib, "with the doubtful", "giants"),
        ("STELIB, dwarfs, all", stelib, "with the doubtful", "dwarfs"),
        ("LAMOST", lamost, "lamost", "in range"),
    ):
        own = table[(table["by"] == by) & (table["group"] == group)].set_index("label")
        g, m = own.loc["logg"], own.loc["mh"]
        yield (
            name,
            g["n"],
            f"{g['bias']:+.2f} ± {g['bias_err']:.2f}",
            f"{g['median_abs']:.2f}",
            with_error(g, "within_1sigma"),
            with_error(g, "pull_width"),
            f"{m['bias']:+.2f} ± {m['bias_err']:.2f}",
        )


def sun_cells(rows):
    """Rows of text, windows against resolving powers."""
    yield "window", *(f"R = {power}" for power in SUN_POWERS)
    for window in SUN_WINDOWS:
        own = {row["resolving_power"]: row for row in rows if row["window"] == window}
        yield (
            window,
            *(
                "no answer"
                if (row := own[power])["error"]
                else f"{row['logg']:.2f} ± {row['logg_err']:.2f}; {row['mh']:+.2f}"
                for power in SUN_POWERS
            ),
        )


def write_cells(path, cells):
    """A CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(cells)


def plain(table):
    """A table as a list of dicts that JSON can hold: NaN becomes None."""
    return json.loads(table.to_json(orient="records"))


def main():
    """Judge, print, and write what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", nargs="+", default=["any"], help="one, or one for each fold")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="write all figures and stars here")
    parser.add_argument("--out", type=Path, help="write real_stars.csv, real_stars.svg and sun.csv here")
    arguments = parser.parse_args()
    predictors = [LoggEstimator(weights, device=arguments.device) for weights in arguments.weights]
    stelib, stars = judge_stelib(predictors, arguments.data)
    print("STELIB, R about 2,500")
    for kind in ("giants", "dwarfs"):
        print_group(stelib, "sure", kind, STELIB_TARGETS)
    print("STELIB with the six doubtful stars")
    for kind in ("giants", "dwarfs"):
        print_group(stelib, "with the doubtful", kind, {})
    lamost, lamost_stars = judge_lamost(predictors[0], arguments.data)
    print("LAMOST, R about 1,800")
    print_group(lamost, "lamost", "in range", LAMOST_TARGETS)
    giant = judge_giant(predictors[0], arguments.data)
    print(f"{giant['name']}: log g {giant['logg']:.2f} ± {giant['logg_err']:.2f} ", end="")
    print(f"({giant['logg_true']} ± {giant['logg_true_err']}), [M/H] {giant['mh']:+.2f} ({giant['mh_true']})")
    sun = judge_sun(predictors[0], arguments.data)
    print_sun(sun)
    if arguments.json:
        record = {"weights": arguments.weights, "sun": sun, "giant": giant}
        record |= {"stelib": plain(stelib), "stelib_stars": plain(stars)}
        record |= {"lamost": plain(lamost), "lamost_stars": plain(lamost_stars)}
        record = json.loads(json.dumps(record), parse_constant=lambda _: None)  # JSON has no NaN
        arguments.json.write_text(json.dumps(record, indent=1))
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        write_cells(arguments.out / "real_stars.csv", star_cells(stelib, lamost))
        write_cells(arguments.out / "sun.csv", sun_cells(sun))
        figure = plot_literature(stars[stars["sure"].notna()], by="sure")[0].figure
        save_figure(figure, arguments.out / "real_stars", ("svg",))


if __name__ == "__main__":
    main()
