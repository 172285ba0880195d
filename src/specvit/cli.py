"""The command line: `specvit predict` and `specvit info`.

Exit status: 0 when every spectrum has an answer, 1 when some have none (their rows are NaN and say
why), 2 when the command could not be carried out; then one line on the standard error says why.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from importlib import metadata
from pathlib import Path

__all__ = ["build_parser", "main", "read_spectrum"]

#: Suffixes of text tables, which are read by the names of their columns.
_TEXT = {".txt", ".dat", ".csv", ".tsv", ".ascii", ".ecsv"}
_COLUMNS = {
    "wave": ("wavelength", "wave", "lambda", "wl", "lam", "spectral_axis"),
    "flux": ("flux", "f_lambda", "flam"),
    "sigma": ("uncertainty", "error", "err", "sigma", "flux_err", "flux_error", "e_flux"),
    "ivar": ("ivar", "inverse_variance"),
    "mask": ("mask",),
}
#: Columns printed on the terminal: name, its error, heading, format of both.
_SHOWN = (
    ("logg", "logg_err", "log g [dex]", ".2f"),
    ("teff", "teff_err", "Teff [K]", ".0f"),
    ("mh", "mh_err", "[M/H]", ".2f"),
    ("alpham", "alpham_err", "[alpha/M]", ".2f"),
    ("cm", "cm_err", "[C/M]", ".2f"),
)

#: What the package's data were made with, and what to cite for them.
_SOURCES = {
    "noise": "PFS exposure-time calculator v2.0, Subaru-PFS/spt_ExposureTimeCalculator, commit aac84fa",
    "emulator": "spectra computed for specvit with C3K/ATLAS12 model atmospheres, Turbospectrum, the "
    "Gaia-ESO line list and the linemake molecular lists",
}


def build_parser():
    """The parser of the command line, an `argparse.ArgumentParser`."""
    parser = argparse.ArgumentParser(
        prog="specvit", description="Surface gravities of cool stars from spectra."
    )
    parser.add_argument("--version", action="version", version=f"specvit {metadata.version('specvit')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    predict = commands.add_parser(
        "predict",
        help="log g, Teff and abundances of spectra, with errors",
        description="Predict log g, Teff, [M/H], [alpha/M] and [C/M] of each spectrum, with 1-sigma errors.",
        epilog="FILE is anything that specutils reads, or a text table (.txt .dat .csv .tsv .ascii .ecsv) "
        "with the columns wavelength, flux and, optionally, uncertainty (or ivar) and mask: by name, or the "
        "first two or three in this order when the columns have no names.",
    )
    predict.add_argument("files", nargs="*", metavar="FILE", help="file with one or more spectra")
    predict.add_argument("--example", action="store_true", help="predict the example, a simulated star")
    predict.add_argument(
        "--medium",
        choices=["air", "vacuum"],
        help="medium of the wavelengths (default: what the file says, else vacuum)",
    )
    predict.add_argument(
        "--resolution", type=_positive, metavar="R", help="resolving power, lambda / FWHM, of the spectra"
    )
    predict.add_argument(
        "--weights", metavar="NAME|PATH", help="bundled weights by name, or a file (see info)"
    )
    predict.add_argument("--format", metavar="FORMAT", help="name of the specutils reader (default: guessed)")
    predict.add_argument(
        "--wave-unit",
        default="Angstrom",
        metavar="UNIT",
        help="for text tables without units (default: %(default)s)",
    )
    predict.add_argument(
        "--flux-unit",
        default="erg / (s cm2 Angstrom)",
        metavar="UNIT",
        help="for text tables without units (default: %(default)s)",
    )
    predict.add_argument(
        "--output", type=Path, metavar="TABLE", help="also write every column to this table (.ecsv)"
    )
    predict.add_argument("--overwrite", action="store_true", help="replace TABLE if it exists")
    predict.add_argument(
        "--on-error",
        choices=["nan", "raise"],
        default="nan",
        help="a spectrum without an answer: a row of NaN that says why, or stop (default: %(default)s)",
    )
    _add_traceback(predict)
    predict.set_defaults(run=_predict)

    info = commands.add_parser("info", help="version, bundled weights and data, and what to cite")
    info.add_argument("--json", action="store_true", help="everything that is recorded, as JSON")
    _add_traceback(info)
    info.set_defaults(run=_info)
    return parser


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        Exit status, see the module's docstring.
    """
    args = build_parser().parse_args(argv)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            return args.run(args)
        except (ArithmeticError, LookupError, OSError, TypeError, ValueError) as error:
            if args.traceback:
                raise
            print(f"specvit: error: {_one_line(error)}", file=sys.stderr)
            return 2


def read_spectrum(path, *, format=None, wave_unit="Angstrom", flux_unit="erg / (s cm2 Angstrom)"):
    """Read the spectrum or spectra in a file.

    Parameters
    ----------
    path : str or path-like
        Text tables (by suffix: .txt .dat .csv .tsv .ascii .ecsv) are read by the names of their
        columns; everything else, and everything when `format` is given, by specutils.
    format : str, optional
        Name of a specutils reader.
    wave_unit, flux_unit : str
        Units for text tables that state none.

    Returns
    -------
    `~specutils.Spectrum` or `~specutils.SpectrumList`

    Raises
    ------
    OSError, ValueError
        If the file cannot be read as a spectrum; the message names the file.
    """
    path = _check_file(path)
    try:
        if format is None and path.suffix.lower() in _TEXT:
            return _read_table(path, wave_unit, flux_unit)
        return _read_specutils(path, format)
    except Exception as error:  # readers of every kind, on files of every kind
        raise ValueError(f"{path}: {_one_line(error)}") from error


def _check_file(path):
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    return Path(path)


def _read_specutils(path, format):
    from astropy.io.registry import IORegistryError
    from specutils import Spectrum, SpectrumList

    import specvit.spectra  # noqa: F401  (registers the readers of PFS files)

    options = {} if format is None else {"format": format}
    try:
        return Spectrum.read(path, **options)
    except IORegistryError as error:
        try:
            return SpectrumList.read(path, **options)  # some formats are read as lists only
        except IORegistryError:
            which = "its format is not recognised" if format is None else f"no reader is called {format!r}"
            raise ValueError(
                f"{which}; specutils' Spectrum.read.list_formats() lists those there are"
            ) from error


def _read_table(path, wave_unit, flux_unit):
    import astropy.units as u
    import numpy as np
    from astropy.nddata import InverseVariance, StdDevUncertainty
    from astropy.table import Table
    from specutils import Spectrum

    table = Table.read(path, format="ascii.ecsv" if path.suffix.lower() == ".ecsv" else "ascii")
    if all(name == f"col{i}" for i, name in enumerate(table.colnames, 1)):
        if len(table.columns) not in (2, 3):
            raise ValueError(f"columns without names must be two or three, got {len(table.columns)}")
        found = dict(zip(("wave", "flux", "sigma"), table.itercols(), strict=False))
    else:
        lower = {name.lower(): table[name] for name in table.colnames}
        found = {key: next((lower[n] for n in names if n in lower), None) for key, names in _COLUMNS.items()}
    for key in ("wave", "flux"):
        if found.get(key) is None:
            raise ValueError(f"no column {' or '.join(_COLUMNS[key])} among {', '.join(table.colnames)}")

    def quantity(key, default):
        column = found[key]
        values = np.ma.filled(np.ma.asarray(column, dtype=float), np.nan)
        return u.Quantity(values, column.unit or u.Unit(default))

    wave, flux = quantity("wave", wave_unit), quantity("flux", flux_unit)
    uncertainty = None
    if found.get("sigma") is not None:
        uncertainty = StdDevUncertainty(quantity("sigma", flux.unit))
    elif found.get("ivar") is not None:
        uncertainty = InverseVariance(quantity("ivar", flux.unit**-2))
    mask = None if found.get("mask") is None else np.asarray(found["mask"], dtype=bool)
    return Spectrum(flux=flux, spectral_axis=wave, uncertainty=uncertainty, mask=mask)


def _predict(args):
    if not args.files and not args.example:
        raise ValueError("give at least one FILE, or --example")
    if args.output is not None and args.output.exists() and not args.overwrite:
        raise FileExistsError(f"{args.output} exists; --overwrite replaces it")
    for path in args.files:
        _check_file(path)  # before anything slow

    import specvit

    estimator = specvit.LoggEstimator(**({} if args.weights is None else {"weights": args.weights}))
    tables = []
    if args.example:
        tables.append(_with_names(estimator.predict_table(specvit.example_spectrum()), ["example"]))
    for names, spectra in _jobs(args):
        table = estimator.predict_table(spectra, medium=args.medium, resolution=args.resolution)
        tables.append(_with_names(table, names))
        reasons = [f"{name}: {error}" for name, error in zip(names, table["error"], strict=True) if error]
        if reasons and args.on_error == "raise":
            raise ValueError(reasons[0])

    from astropy.table import vstack

    table = vstack(tables, metadata_conflicts="silent")
    if args.output is not None:
        table.write(args.output, overwrite=args.overwrite)
    print(_as_text(table))
    return int(any(value != value for value in _values(table, "logg")))


def _jobs(args):
    """Names and spectra to predict at once: runs of one-dimensional spectra together, others alone."""
    from specutils import Spectrum, SpectrumList

    jobs = []
    for path in args.files:
        found = read_spectrum(path, format=args.format, wave_unit=args.wave_unit, flux_unit=args.flux_unit)
        alone = isinstance(found, Spectrum)
        for i, spectrum in enumerate([found] if alone else found):
            name = path if alone else f"{path}[{i}]"
            if spectrum.flux.ndim > 1:
                n = spectrum.flux.size // spectrum.flux.shape[spectrum.spectral_axis_index]
                jobs.append(([f"{name}[{k}]" for k in range(n)], spectrum))
                continue
            if not jobs or isinstance(jobs[-1][1], Spectrum):
                jobs.append(([], SpectrumList()))
            jobs[-1][0].append(name)
            jobs[-1][1].append(spectrum)
    return jobs


def _with_names(table, names):
    """`table` with a first column that names the file, and the spectrum in a file with several."""
    table.add_column(names, name="file", index=0)
    return table


def _values(table, name):
    """Column as a list of plain Python numbers or strings."""
    column = table[name]
    return getattr(column, "value", column).tolist()


def _as_text(table):
    """The main columns as aligned text, one line a spectrum, and why where there is no answer."""
    from specvit.spectra import Flag

    columns = [_values(table, "file")]
    shown = [column for column in _SHOWN if column[0] in table.colnames]
    for name, name_err, _, form in shown:
        pairs = zip(_values(table, name), _values(table, name_err), strict=True)
        columns.append(["-" if x != x else f"{x:{form}} ± {sigma:{form}}" for x, sigma in pairs])
    columns.append(["-" if x != x else f"{x:.1f}" for x in _values(table, "snr")])
    notes = zip(_values(table, "error"), _values(table, "flags"), strict=True)
    columns.append([error or Flag.describe(flags) or "ok" for error, flags in notes])
    heading = ["file", *(heading for _, _, heading, _ in shown), "S/N", "notes"]
    rows = [heading, *zip(*columns, strict=True)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _info(args):
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


def _positive(text):
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, got {text}")
    return value


def _add_traceback(parser):
    parser.add_argument("--traceback", action="store_true", help="show the Python traceback of an error")


def _one_line(error):
    # str of a KeyError is the repr of its argument
    text = str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__


def _show_warning(message, category, filename, lineno, file=None, line=None):
    print(f"specvit: warning: {_one_line(message)}", file=sys.stderr)
