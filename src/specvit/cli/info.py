"""``specvit info``: version, bundled weights and data, and what to cite."""

from __future__ import annotations

import json
from importlib import metadata

from specvit.cli.common import add_traceback

__all__ = ["add_parser", "run"]

#: What the package's data were made with, and what to cite for them.
_SOURCES = {
    "noise": "PFS exposure-time calculator v2.0, Subaru-PFS/spt_ExposureTimeCalculator, commit aac84fa",
    "emulator": "spectra computed for specvit with C3K/ATLAS12 model atmospheres, Turbospectrum, the "
    "Gaia-ESO line list and the linemake molecular lists",
}


def add_parser(commands):
    """Add the command to `commands`, the subparsers of the command line."""
    parser = commands.add_parser("info", help="version, bundled weights and data, and what to cite")
    parser.add_argument("--json", action="store_true", help="everything that is recorded, as JSON")
    add_traceback(parser)
    parser.set_defaults(run=run)


def run(args):
    """Carry the command out; returns its exit status."""
    from specvit.weights import list_weights

    found = list_weights()
    if args.json:
        print(
            json.dumps({"specvit": metadata.version("specvit"), "weights": found, "data": _SOURCES}, indent=2)
        )
        return 0
    print(f"specvit {metadata.version('specvit')}")
    for name, record in found.items():
        print(f"\nweights {name!r}")
        for key, value in record.items():
            if isinstance(value, str | int | float):
                print(f"  {key}: {value}")
        for survey, rows in record.get("figures", {}).items():
            if isinstance(rows, list):  # cells of instruments: with --json
                continue
            print(f"  log g on draws of the survey {survey!r}:")
            print("    magnitude    S/N    R2     MAE    within 1 sigma")
            for magnitude, row in rows.items():
                logg = row["logg"]
                numbers = f"{row['snr']:9.1f}  {logg['r2']:.3f}  {logg['mae']:.3f}  {logg['coverage']:.3f}"
                print(f"    {magnitude:>5} {numbers}")
    print("\ndata")
    for what, source in _SOURCES.items():
        print(f"  {what}: {source}")
    return 0
