"""``specvit info``: versions, devices, bundled weights, readers and data, and what to cite."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata

from specvit.cli.common import add_traceback, examples

__all__ = ["add_parser", "run"]

#: What the package's data were made with, and what to cite for them.
_SOURCES = {
    "noise": "PFS exposure-time calculator v2.0, Subaru-PFS/spt_ExposureTimeCalculator, commit aac84fa",
    "emulator": "spectra computed for specvit with C3K/ATLAS12 model atmospheres, Turbospectrum, the "
    "Gaia-ESO line list and the linemake molecular lists",
}
#: Packages whose versions matter for an answer, or for a report of a fault.
_PACKAGES = ("torch", "lightning", "numpy", "scipy", "astropy", "specutils", "scikit-learn", "h5py")


def add_parser(commands):
    """Add the command to `commands`, the subparsers of the command line."""
    parser = commands.add_parser(
        "info",
        help="versions, devices, bundled weights, readers of files, and what to cite",
        **examples("specvit info", "specvit info --json > specvit.json"),
    )
    parser.add_argument("--json", action="store_true", help="everything that is recorded, as JSON")
    add_traceback(parser)
    parser.set_defaults(run=run)


def run(args):
    """Carry the command out; returns its exit status."""
    from specvit.weights import list_weights

    found, versions, devices, readers = list_weights(), _versions(), _devices(), _readers()
    if args.json:
        record = {"specvit": metadata.version("specvit"), "versions": versions, "devices": devices}
        record |= {"weights": found, "readers": readers, "data": _SOURCES}
        print(json.dumps(record, indent=2))
        return 0
    print(f"specvit {metadata.version('specvit')}")
    print("\nversions")
    for name, version in versions.items():
        print(f"  {name}: {version}")
    print("\ndevices")
    for device in devices:
        print(f"  {device}")
    for name, record in found.items():
        _print_weights(name, record)
    print("\nreaders of this package, beside those of specutils")
    for reader in readers:
        print(f"  {reader}")
    print("\ndata")
    for what, source in _SOURCES.items():
        print(f"  {what}: {source}")
    return 0


def _print_weights(name, record):
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


def _versions():
    """Versions of Python and of what answers depend on: dict of str to str."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _devices():
    """Where the network can run, as text; the first is what ``device="auto"`` takes."""
    import torch

    gpus = [
        f"cuda:{i}, {torch.cuda.get_device_name(i)}, "
        f"{torch.cuda.get_device_properties(i).total_memory / 2**30:.0f} GiB"
        for i in range(torch.cuda.device_count())
    ]
    return [*gpus, f"cpu, {os.cpu_count()} cores, {torch.get_num_threads()} threads"]


def _readers():
    """Formats of files that this package adds to those of specutils, sorted list of str."""
    from astropy.io import registry
    from specutils import Spectrum, SpectrumList

    import specvit.spectra.readers  # noqa: F401 - registers them

    found = set()
    for kind in (Spectrum, SpectrumList):
        for name in registry.get_formats(kind, "Read")["Format"]:
            if registry.get_reader(name, kind).__module__.startswith("specvit."):
                found.add(str(name))
    return sorted(found)
