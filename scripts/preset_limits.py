"""The Bayes limit of common spectrographs, and a network beside it.

usage: python scripts/preset_limits.py [--presets NAME ...] [--snr S ...] [--stars N] [--weights W]
           [--device cpu] [--out docs/results/preset_limits.csv]
       python scripts/preset_limits.py --cells [--stars N] [--device cpu] [--out docs/results/cell_limits.csv]

Stars have the prior of ``pfs-mr`` and are seen by presets of `specvit.grid.INSTRUMENTS` in their own pixels,
at their own line spread function or, where that is sharper, the library's; telluric bands are cut from the
ground. Noise is independent and equal in all native pixels. Lines, wavelengths and flux calibration are
without error: real spectra are farther from it. With --weights a network is judged under the same conditions
on other stars of the same prior: --network-stars of them, of the library calibrated on real stars, which is
the one that it knows and of which limits are not known.

With --cells the limit is that of the cells of `specvit.assess.instrumentcells`, the frozen test of networks,
as if their stars had none of its errors of lines, velocities, calibration and stated resolution: the mean
over native pixels of four sizes, from the same range.
"""

import argparse
import dataclasses
import time
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from specvit.assess.instrumentcells import CELLS, TEST_SIZES, predict_survey
from specvit.assess.metrics import bootstrap_errors, bootstrap_weights, figures_of_merit
from specvit.grid import Instrument, find_instrument
from specvit.limits import bayes_limit
from specvit.stars import Emulator
from specvit.survey import PRIORS, Survey, preset_survey
from specvit.survey.streams import LIMITS
from specvit.weights import load_weights

PRESETS = ("SDSS/BOSS", "LAMOST LRS", "DEIMOS 1200G", "Gaia RVS")
PIXEL_SIZES = 4  # of a cell
#: Observations without any error but noise, as the limits are.
WITHOUT_ERRORS = dataclasses.replace(
    TEST_SIZES,
    whole_share=1.0,
    lsf_spread=0.0,
    lsf_err=0.0,
    sampling_err=0.0,
    telluric=(1.0, 0.0),
    max_velocity=0.0,
    zero_point=0.0,
    drift=(0.0, 0.0),
    line_err=(),
    calibration=(0.0,),
    normalised_share=0.0,
    noise_shape=0.0,
    sky_share=0.0,
    reported_err=0.0,
)
_SEED = 78


def network_figures(regressor, instrument, snr, arguments):
    """R² and more of log g of a network, on stars of the library that it knows, seen by the instrument."""
    observed = dataclasses.replace(WITHOUT_ERRORS, snr=(snr, snr))
    if not instrument.ground_based:
        observed = dataclasses.replace(observed, telluric=(0.0, 0.0))
    survey = Survey(
        "any",
        seed=_SEED,
        instruments=instrument,
        observed=observed,
        prior=PRIORS["pfs-mr"],
        emulator=Emulator.load(calibrated=True),
    )
    mean, sigma, labels, _ = predict_survey(
        regressor, survey, arguments.network_stars, device=arguments.device
    )
    k = regressor.label_names.index("logg")
    used = np.isfinite(mean[:, k])
    chosen = labels[used, k], mean[used, k], sigma[used, k]
    figures = figures_of_merit(*chosen)
    errors = bootstrap_errors(*chosen, bootstrap_weights(used.sum(), 400, np.random.default_rng(0)))
    return {
        "network_r2": figures["r2"],
        "network_r2_err": errors["r2"],
        "network_mae": figures["mae"],
        "network_coverage": figures["coverage68"],
        "network_n": int(used.sum()),
    }


def preset_row(name, snr, arguments, emulator, regressor):
    """The limit of one preset at one S/N, and the network beside it."""
    instrument = find_instrument(name)
    survey = preset_survey(instrument, snr, emulator=emulator)
    limit = bayes_limit(survey, snr=snr, n_stars=arguments.stars, stream=LIMITS, device=arguments.device)
    figures = next(row for row in limit.rows() if row["label"] == "logg")
    row = {"instrument": instrument.name, "snr": snr, "n": arguments.stars}
    row |= {"low": survey.grid.edges[0], "high": survey.grid.edges[-1], "n_pixels": len(survey.grid)}
    row |= {"resolving_power": np.median(survey.grid.resolving_power)}
    row |= {key: figures[key] for key in ("r2", "r2_err", "mae", "mae_err", "rmse", "rmse_err")}
    row |= {key: figures[key] for key in ("coverage", "ess_median", "flagged")}
    return row | ({} if regressor is None else network_figures(regressor, instrument, snr, arguments))


def cell_row(cell, arguments, emulator):
    """The limit of one cell of the frozen test."""
    power, window, snr = cell
    (fewest, most), found = TEST_SIZES.pixels_per_fwhm, []
    fwhm = emulator.grid.edges[[0, -1]].mean() / power
    for k in range(PIXEL_SIZES):
        per_fwhm = fewest + (most - fewest) * (k + 0.5) / PIXEL_SIZES
        seen = Instrument("cell", (window,), fwhm / per_fwhm, fwhm=fwhm, ground_based=False)
        survey = preset_survey(seen, snr, emulator=emulator)
        limit = bayes_limit(
            survey,
            snr=snr,
            n_stars=arguments.stars // PIXEL_SIZES,
            stream=LIMITS + k,
            device=arguments.device,
        )
        found.append(next(row for row in limit.rows() if row["label"] == "logg"))
    row = {"resolving_power": power, "low": window[0], "high": window[1], "snr": snr}
    row |= {"n": sum(one["n_stars"] for one in found), "flagged": np.mean([one["flagged"] for one in found])}
    for key in ("r2", "mae"):
        row[key] = np.mean([one[key] for one in found])
        row[f"{key}_err"] = np.linalg.norm([one[f"{key}_err"] for one in found]) / PIXEL_SIZES
    row["rmse"] = np.sqrt(np.mean([one["rmse"] ** 2 for one in found]))
    return row


def main():
    """Measure, print and write the table, one row for each preset and S/N, or for each cell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presets", nargs="+", default=list(PRESETS))
    parser.add_argument("--snr", nargs="+", type=float, default=[20.0, 50.0, 100.0])
    parser.add_argument("--cells", action="store_true", help="the cells of the frozen test instead")
    parser.add_argument("--stars", type=int, default=400)
    parser.add_argument("--weights", help="weights that know instruments, to be judged beside the limits")
    parser.add_argument("--network-stars", type=int, default=4000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    regressor = load_weights(arguments.weights)[0].to(arguments.device) if arguments.weights else None
    emulator, rows = Emulator.load(), []
    out = arguments.out or Path("docs/results") / f"{'cell' if arguments.cells else 'preset'}_limits.csv"
    every = CELLS if arguments.cells else list(product(arguments.presets, arguments.snr))
    for one in every:
        start = time.perf_counter()
        row = (
            cell_row(one, arguments, emulator)
            if arguments.cells
            else preset_row(*one, arguments, emulator, regressor)
        )
        rows.append(row)
        print(*(f"{x:.4g}" if isinstance(x, float) else x for x in row.values()), end=" ")
        print(f"{time.perf_counter() - start:.0f} s", flush=True)
        pd.DataFrame(rows).round(5).to_csv(out, index=False)


if __name__ == "__main__":
    main()
