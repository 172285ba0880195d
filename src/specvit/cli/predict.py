"""``specvit predict``: log g, Teff and abundances of spectra in files."""

from __future__ import annotations

import argparse

from specvit.cli.common import add_traceback, examples, given, one_line, positive, tell
from specvit.cli.reading import chosen_columns, expand, read_spectrum
from specvit.labels import LABELS, label_of
from specvit.paths import user_path
from specvit.progress import ProgressLine

__all__ = ["add_parser", "run"]

_AT_ONCE = 256  # spectra predicted together, between two updates of the progress
#: Labels printed on the terminal, log g first.
_SHOWN = sorted(map(label_of, LABELS), key=lambda label: label.name != "logg")


def add_parser(commands):
    """Add the command to `commands`, the subparsers of the command line."""
    parser = commands.add_parser(
        "predict",
        help="log g, Teff and abundances of spectra, with errors",
        description="Predict log g, Teff, [M/H], [alpha/M] and [C/M] of each spectrum, with 1-sigma errors.",
        **examples(
            "specvit predict --example",
            "specvit predict star.fits --medium air --resolution 21000",
            'specvit predict "night1/*.fits" --instrument SDSS --output labels.fits',
            "specvit predict star.txt --mask telluric --given teff=4750±50",
            about="FILE is a file of a survey or instrument in a layout that is known (page Files of the "
            "documentation), anything else that specutils reads, or a table, FITS or text, with the columns "
            "wavelength, flux and, optionally, uncertainty (or ivar) and mask: by name, or the first two or "
            "three in this order when the columns have no names. A folder stands for the files in it, @LIST "
            "for those in a list, a pattern in quotes for those that match.",
        ),
    )
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="file with one or more spectra, folder, pattern or @LIST"
    )
    parser.add_argument("--example", action="store_true", help="predict the example, a simulated star")
    parser.add_argument(
        "--medium",
        choices=["air", "vacuum"],
        help="medium of the wavelengths (default: what the file says, else vacuum)",
    )
    parser.add_argument(
        "--resolution", type=positive, metavar="R", help="resolving power, lambda / FWHM, of the spectra"
    )
    parser.add_argument(
        "--instrument",
        metavar="NAME",
        help="spectrograph, by the name of a preset (as SDSS, LAMOST, MUSE): says medium, resolution and "
        "native pixels where the file does not, and masks telluric bands if it is on the ground",
    )
    parser.add_argument(
        "--mask",
        action="append",
        type=_window,
        metavar="NAME|LOW-HIGH",
        help="wavelengths not to be used, as observed: telluric, none, or a window in vacuum Angstrom, as "
        "7590-7705; may be repeated",
    )
    parser.add_argument(
        "--given",
        action="append",
        type=_measurement,
        metavar="LABEL=VALUE±SIGMA",
        help="what is known of a label from elsewhere, for all spectra, as teff=4750±50 or teff=4750+-50 (K, "
        "dex); the other labels follow by their correlations; may be repeated",
    )
    parser.add_argument(
        "--lower-resolution",
        type=_resolution_rule,
        metavar="raise|flag|R",
        help="spectra of lower resolution than the weights' grid: refuse them, flag them, or flag them down "
        "to R (default: refuse, or flag down to 1350 with weights that are told of the instrument)",
    )
    parser.add_argument(
        "--min-coverage",
        type=float,
        metavar="SHARE",
        help="least share of the grid that a spectrum must cover (default: 0.5, or 0.05 with weights that "
        "are told of the instrument)",
    )
    parser.add_argument(
        "--weights", metavar="NAME|PATH", help="bundled weights by name, or a file (see info)"
    )
    parser.add_argument(
        "--format", metavar="FORMAT", help="name of the reader (default: found by the content of the file)"
    )
    parser.add_argument(
        "--columns",
        type=chosen_columns,
        metavar="ROLE=NAME,…",
        help="columns of tables, names or numbers from 1: wave=, loglam=, flux=, err=, ivar=, var=, mask=, "
        "good=; or just those of wavelength, flux, error and mask (default: known by their names)",
    )
    parser.add_argument(
        "--wave-unit",
        metavar="UNIT",
        help="for tables without units (default: Angstrom, nm or micron by the size of the numbers)",
    )
    parser.add_argument(
        "--flux-unit",
        default="erg / (s cm2 Angstrom)",
        metavar="UNIT",
        help="for tables without units (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=user_path,
        metavar="TABLE",
        help="also write every column to this table (.ecsv .fits .vot .h5 .parquet .csv)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace TABLE if it exists")
    parser.add_argument(
        "--on-error",
        choices=["nan", "raise"],
        default="nan",
        help="a spectrum without an answer: a row of NaN that says why, or stop (default: %(default)s)",
    )
    add_traceback(parser)
    parser.set_defaults(run=run)


def run(args):
    """Carry the command out; returns its exit status."""
    if not args.files and not args.example:
        raise ValueError("give at least one FILE, or --example")
    if args.output is not None and args.output.exists() and not args.overwrite:
        raise FileExistsError(f"{args.output} exists; --overwrite replaces it")
    args.files = expand(args.files)  # before anything slow

    import specvit

    estimator = specvit.LoggEstimator(**({} if args.weights is None else {"weights": args.weights}))
    names = ("medium", "resolution", "instrument", "mask", "lower_resolution", "min_coverage")
    known = {} if args.given is None else {"given": dict(args.given)}
    tables, stated = [], given(args, *names) | known
    if args.example:
        table = estimator.predict_table(specvit.example_spectrum(), **known)
        tables.append(_with_names(table, ["example"]))
    jobs, unread = _jobs(args)
    line, done = ProgressLine("spectra"), 0
    for names, spectra in jobs:
        table = estimator.predict_table(spectra, **stated)
        done += len(names)
        if len(jobs) > 1:
            line(done, sum(len(job[0]) for job in jobs))
        tables.append(_with_names(table, names))
        reasons = [f"{name}: {error}" for name, error in zip(names, table["error"], strict=True) if error]
        if reasons and args.on_error == "raise":
            raise ValueError(reasons[0])

    if not tables:
        return 2
    from astropy.table import vstack

    from specvit.predictors import write_table

    table = vstack(tables, metadata_conflicts="silent")
    if args.output is not None:
        write_table(table, args.output, overwrite=args.overwrite)
    print(_as_text(table))
    return int(unread > 0 or any(value != value for value in _values(table, "logg")))


def _window(text):
    """Type of ``--mask``: a name, or a window (low, high)."""
    low, dash, high = text.partition("-")
    try:
        return (float(low), float(high)) if dash else text
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a name or LOW-HIGH in Angstrom, got {text}") from None


def _measurement(text):
    """Type of ``--given``: a label, and (value, σ)."""
    name, _, number = text.partition("=")
    for sign in ("±", "+/-", "+-"):
        value, found, sigma = number.partition(sign)
        if name and found:
            try:
                return name, (float(value), positive(sigma))
            except ValueError:
                break
    raise argparse.ArgumentTypeError(f"must be LABEL=VALUE±SIGMA, as teff=4750±50, got {text}")


def _resolution_rule(text):
    """Type of ``--lower-resolution``: a word or a resolving power."""
    return text if text in ("raise", "flag") else positive(text)


def _jobs(args):
    """Names and spectra to predict at once, and the number of files that cannot be read.

    Runs of one-dimensional spectra go together, others alone. What readers assumed or left out is told.
    """
    from specutils import Spectrum, SpectrumList

    options = {name: getattr(args, name) for name in ("format", "columns", "wave_unit", "flux_unit")}
    jobs, unread, notes = [], 0, {}
    for path in args.files:
        try:
            found = read_spectrum(path, **options)
        except (OSError, ValueError) as error:
            if len(args.files) == 1 or args.on_error == "raise":
                raise
            tell(f"specvit: error: {one_line(error)}")
            unread += 1
            continue
        alone = isinstance(found, Spectrum)
        for i, spectrum in enumerate([found] if alone else found):
            name = path if alone else f"{path}[{i}]"
            for note in spectrum.meta.get("notes", ()):
                notes.setdefault(note, []).append(name)
            if spectrum.flux.ndim > 1:
                n = spectrum.flux.size // spectrum.flux.shape[spectrum.spectral_axis_index]
                jobs.append(([f"{name}[{k}]" for k in range(n)], spectrum))
                continue
            if not jobs or isinstance(jobs[-1][1], Spectrum) or len(jobs[-1][0]) == _AT_ONCE:
                jobs.append(([], SpectrumList()))
            jobs[-1][0].append(name)
            jobs[-1][1].append(spectrum)
    for note, where in notes.items():
        more = f" (and {len(where) - 1} more)" if len(where) > 1 else ""
        tell(f"specvit: note: {where[0]}{more}: {note}")
    return jobs, unread


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
    shown = [label for label in _SHOWN if label.name in table.colnames]
    for label in shown:
        pairs = zip(_values(table, label.name), _values(table, f"{label.name}_err"), strict=True)
        form = f".{label.decimals}f"
        columns.append(["-" if x != x else f"{x:{form}} ± {sigma:{form}}" for x, sigma in pairs])
    columns.append(["-" if x != x else f"{x:.1f}" for x in _values(table, "snr")])
    notes = zip(_values(table, "error"), _values(table, "flags"), strict=True)
    columns.append([error or Flag.describe(flags) or "ok" for error, flags in notes])
    heading = ["file", *(_heading(label) for label in shown), "S/N", "notes"]
    rows = [heading, *zip(*columns, strict=True)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _heading(label):
    """Name and unit; a name in brackets is known to be in dex."""
    return label.plain if label.plain.startswith("[") else f"{label.plain} [{label.error_unit}]"
