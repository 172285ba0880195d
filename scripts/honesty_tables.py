"""The campaign of troubles and the measured velocities, for the page *What the numbers mean*.

    python scripts/honesty_tables.py [--draws 20] [--velocities 100] [--device cuda] [--out docs/results]
    python scripts/honesty_tables.py --view window --out …     (needs specutils)

Writes honesty.csv (a row for each star, S/N and kind of trouble) and velocities.csv to the folder. With
``--view`` the campaign alone, of spectra of R 2,000 on pixels of 1.4 Å (``low``) or of 8400–8850 Å alone
(``window``), to honesty_VIEW.csv.
"""

import argparse
import csv
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from specvit import LoggEstimator
from specvit.assess.campaign import campaign, summary
from specvit.assess.measuredvelocities import velocity_cells
from specvit.grid import PFS_MR, PixelGrid


def low_resolution():
    """Pixels of 1.4 Å at R 2,000."""
    edges = np.arange(7112.0, 8840.0, 1.4)
    centres = (edges[1:] + edges[:-1]) / 2
    return PixelGrid(edges, centres / 2000 / 2.3548)


def window():
    """The pixels of PFS MR from 8400 to 8850 Å."""
    first, last = np.searchsorted(PFS_MR.edges, (8400.0, 8850.0))
    return PixelGrid(PFS_MR.edges[first:last], PFS_MR.lsf_sigma[first : last - 1])


VIEWS = {"low": low_resolution, "window": window}


def spectra(flux, ivar, grid):
    """A Spectrum of several rows that says all that there is to say."""
    import astropy.units as u
    from astropy.nddata import InverseVariance
    from specutils import Spectrum

    meta = {"resolution": grid.resolving_power, "medium": grid.medium}
    errors = None if ivar is None else InverseVariance(ivar)
    return Spectrum(flux * u.dimensionless_unscaled, grid.wave * u.AA, uncertainty=errors, meta=meta)


def write(path, cells):
    """A csv file with a row for each cell."""
    rows = [asdict(cell) for cell in cells]
    for row in rows:
        if "alarms" in row:
            row["alarms"] = " ".join(f"{name}:{share:.2f}" for name, share in row["alarms"].items())
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {key: f"{x:.3f}" if isinstance(x, float) else x for key, x in row.items()} for row in rows
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--weights", default="any")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--velocities", type=int, default=100)
    parser.add_argument("--view", choices=VIEWS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    args = parser.parse_args()
    estimator = LoggEstimator(args.weights, device=args.device)
    start = time.perf_counter()
    grid = VIEWS[args.view]() if args.view else None
    given = None if grid is None else spectra
    cells = list(campaign(estimator, draws=args.draws, grid=grid, given=given))
    write(args.out / (f"honesty_{args.view}.csv" if args.view else "honesty.csv"), cells)
    print(summary(cells), f"{time.perf_counter() - start:.0f} s", flush=True)
    if not args.view:
        measured = list(velocity_cells(estimator, draws=args.velocities))
        write(args.out / "velocities.csv", measured)
        for cell in measured:
            print(cell)


if __name__ == "__main__":
    main()
