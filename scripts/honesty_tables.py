"""Troubles, velocities, foreign objects and real stars, for the page *What the numbers mean*.

    python scripts/honesty_tables.py [--only velocities foreign] [--draws 20] [--device cuda] [--out FOLDER]
    python scripts/honesty_tables.py --only troubles --view window     (needs specutils)
    python scripts/honesty_tables.py --only more --draws 4
    python scripts/honesty_tables.py --only real --real DATA           (needs specutils)

Writes to FOLDER, docs/results by default: honesty.csv (a row for each star, S/N and kind of trouble),
honesty_more.csv (the same for further kinds),
velocities.csv, foreign.csv (a row for each class and S/N), and, if their folder is given, as for
judge_real_stars.py, real_alarms.csv (a row for each group of real stars). With ``--view`` troubles are those
of spectra of R 2,000 on pixels of 1.4 Å (``low``) or of 8400–8850 Å alone (``window``), written to
honesty_VIEW.csv.
"""

import argparse
import csv
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from specvit import LoggEstimator
from specvit.assess.campaign import campaign, summary
from specvit.assess.foreign import foreign_cells
from specvit.assess.measuredvelocities import velocity_cells
from specvit.assess.moretroubles import MORE_TROUBLES
from specvit.grid import PFS_MR, PixelGrid
from specvit.spectra import Flag


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
TABLES = ("troubles", "more", "velocities", "foreign", "real")


def spectra(flux, ivar, grid):
    """A Spectrum of several rows that says all that there is to say."""
    import astropy.units as u
    from astropy.nddata import InverseVariance
    from specutils import Spectrum

    meta = {"resolution": grid.resolving_power, "medium": grid.medium}
    errors = None if ivar is None else InverseVariance(ivar)
    return Spectrum(flux * u.dimensionless_unscaled, grid.wave * u.AA, uncertainty=errors, meta=meta)


def real_alarms(estimator, data):
    """Rows for groups of real stars: how many, and how many of them raise each alarm."""
    from judge_real_stars import LAMOST_POWER, STELIB_FWHM, SUN_POWERS, SUN_WINDOWS, read_stars, sun_seen

    groups = {}
    for name, medium, resolution in (("stelib", "air", STELIB_FWHM), ("lamost", "vacuum", LAMOST_POWER)):
        spectra, rows = read_stars(data, name, medium, resolution)
        known = np.array(["hot" if row["teff"] > 7000 else row.get("note") or "" for row in rows])
        flags = np.asarray(estimator.predict_table(spectra, medium=medium)["flags"])
        groups[name.upper()] = flags[known == ""]
        if (hot := known == "hot").any():
            groups[f"{name.upper()}, A star"] = flags[hot]
        if (doubtful := ~np.isin(known, ["", "hot"])).any():
            groups[f"{name.upper()}, binaries and doubtful labels"] = flags[doubtful]
    with np.load(data / "sun_sao2010.npz") as atlas:
        seen = [
            sun_seen(atlas, power, window, cut)
            for power in SUN_POWERS
            for window, cut, _ in SUN_WINDOWS.values()
        ]
    groups["the Sun, 30 ways"] = np.asarray(estimator.predict_table(seen, medium="vacuum")["flags"])
    alarms = [flag for flag in Flag if flag & Flag.ALARMS]
    return [
        {"stars": name, "n": len(flags), "alarmed": int(np.count_nonzero(flags & Flag.ALARMS))}
        | {flag.name: int(np.count_nonzero(flags & flag)) for flag in alarms}
        for name, flags in groups.items()
    ]


def write(path, rows):
    """A csv file with a row for each cell, of dicts or dataclasses."""
    rows = [dict(row) if isinstance(row, dict) else asdict(row) for row in rows]
    for row in rows:
        print(*row.values(), sep="  ")
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
    parser.add_argument("--only", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--draws", type=int, default=20, help="spectra of a cell of the campaign")
    parser.add_argument("--velocities", type=int, default=100, help="spectra of a star and S/N")
    parser.add_argument("--objects", type=int, default=200, help="of a foreign class and S/N")
    parser.add_argument("--view", choices=VIEWS)
    parser.add_argument("--real", type=Path, help="folder of real stars")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    estimator = LoggEstimator(args.weights, device=args.device)
    if "troubles" in args.only:
        start = time.perf_counter()
        grid = VIEWS[args.view]() if args.view else None
        given = None if grid is None else spectra
        cells = list(campaign(estimator, draws=args.draws, grid=grid, given=given))
        write(args.out / (f"honesty_{args.view}.csv" if args.view else "honesty.csv"), cells)
        print(summary(cells), f"{time.perf_counter() - start:.0f} s", flush=True)
    if "more" in args.only:
        cells = list(campaign(estimator, draws=args.draws, troubles=MORE_TROUBLES))
        write(args.out / "honesty_more.csv", cells)
        print(summary(cells), flush=True)
    if "velocities" in args.only:
        write(args.out / "velocities.csv", velocity_cells(estimator, draws=args.velocities))
    if "foreign" in args.only:
        write(args.out / "foreign.csv", foreign_cells(estimator, draws=args.objects))
    if "real" in args.only and args.real:
        write(args.out / "real_alarms.csv", real_alarms(estimator, args.real))


if __name__ == "__main__":
    main()
