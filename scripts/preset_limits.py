"""The Bayes limit of common spectrographs, and a network beside it on the same stars.

usage: python scripts/preset_limits.py [--presets NAME ...] [--snr S ...] [--stars N] [--weights W]
           [--device cpu] [--out docs/results/preset_limits.csv]
       python scripts/preset_limits.py --cells [--stars N] [--device cpu] [--out docs/results/cell_limits.csv]

Stars have the prior of ``pfs-mr`` and are seen by presets of `specvit.grid.INSTRUMENTS` in their own pixels,
at their own line spread function or, where that is sharper, the library's; telluric bands are cut from the
ground. Noise is independent and equal in all native pixels. Lines, wavelengths and flux calibration are
without error: real spectra are farther from it. With --weights the network sees the same spectra as a
user's, through the adapter.

With --cells the limit is that of the cells of `specvit.assess.instrumentcells`, the frozen test of networks,
as if their stars had none of its errors of lines, velocities, calibration and stated resolution: the mean
over native pixels of four sizes, from the same range.
"""

import argparse
import time
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from specvit import Emulator, LoggEstimator
from specvit.assess.instrumentcells import CELLS, TEST_SIZES
from specvit.assess.metrics import bootstrap_errors, bootstrap_weights, figures_of_merit
from specvit.grid import Instrument, find_instrument
from specvit.limits import bayes_limit
from specvit.survey import preset_survey
from specvit.survey.streams import LIMITS

PRESETS = ("SDSS/BOSS", "LAMOST LRS", "DEIMOS 1200G", "Gaia RVS")
PIXEL_SIZES = 4  # of a cell


def network_figures(predictor, survey, batch):
    """R² and more of log g of a network that is given the batch as spectra."""
    from astropy import units as u
    from astropy.nddata import InverseVariance
    from specutils import Spectrum

    spectra = Spectrum(
        flux=batch.flux.cpu().numpy() * u.one,
        spectral_axis=survey.grid.wave * u.AA,
        uncertainty=InverseVariance(batch.ivar.cpu().numpy()),
        mask=batch.ivar.cpu().numpy() == 0,
    )
    found = predictor.predict_labels(
        spectra,
        medium="vacuum",
        resolution=survey.grid.resolving_power,
        on_error="nan",
        lower_resolution="flag",
    )
    mean, sigma = (x[:, 0] for x in found.columns(["logg"]))
    truth = batch.labels[:, survey.label_names.index("logg")].double().cpu().numpy()
    used = np.isfinite(mean)
    chosen = truth[used], mean[used], sigma[used]
    figures = figures_of_merit(*chosen)
    draws = bootstrap_weights(used.sum(), 400, np.random.default_rng(0))
    errors = bootstrap_errors(*chosen, draws)
    return {
        "network_r2": figures["r2"],
        "network_r2_err": errors["r2"],
        "network_mae": figures["mae"],
        "network_coverage": figures["coverage68"],
        "network_unusable": int((~used).sum()),
    }


def preset_row(name, snr, arguments, emulator, predictor):
    """The limit of one preset at one S/N, and the network on the same stars."""
    instrument = find_instrument(name)
    survey = preset_survey(instrument, snr, emulator=emulator)
    batch = survey.draw(arguments.stars, stream=LIMITS, device=arguments.device)
    limit = bayes_limit(survey, snr=snr, batch=batch, device=arguments.device)
    figures = next(row for row in limit.rows() if row["label"] == "logg")
    row = {"instrument": instrument.name, "snr": snr, "n": arguments.stars}
    row |= {"low": survey.grid.edges[0], "high": survey.grid.edges[-1], "n_pixels": len(survey.grid)}
    row |= {"resolving_power": np.median(survey.grid.resolving_power)}
    row |= {key: figures[key] for key in ("r2", "r2_err", "mae", "mae_err", "rmse", "rmse_err")}
    row |= {key: figures[key] for key in ("coverage", "ess_median", "flagged")}
    return row | ({} if predictor is None else network_figures(predictor, survey, batch))


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
    parser.add_argument("--weights", help="weights that know instruments, to be judged on the same stars")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    predictor = LoggEstimator(arguments.weights, device=arguments.device) if arguments.weights else None
    emulator, rows = Emulator.load(), []
    out = arguments.out or Path("docs/results") / f"{'cell' if arguments.cells else 'preset'}_limits.csv"
    every = CELLS if arguments.cells else list(product(arguments.presets, arguments.snr))
    for one in every:
        start = time.perf_counter()
        row = (
            cell_row(one, arguments, emulator)
            if arguments.cells
            else preset_row(*one, arguments, emulator, predictor)
        )
        rows.append(row)
        print(*(f"{x:.4g}" if isinstance(x, float) else x for x in row.values()), end=" ")
        print(f"{time.perf_counter() - start:.0f} s", flush=True)
        pd.DataFrame(rows).round(5).to_csv(out, index=False)


if __name__ == "__main__":
    main()
