"""``specvit predict``: log g, Teff and abundances of spectra in files."""

from __future__ import annotations

import argparse

from specvit.cli.common import add_traceback, count, examples, given, positive, tell
from specvit.cli.fitfigures import PLOT_HELP, draw_fits
from specvit.cli.reading import READING, Example, chosen_columns, files_with_velocities, mask_bits
from specvit.cli.rowprinter import FORMATS, RowPrinter
from specvit.paths import user_path
from specvit.progress import ProgressLine

__all__ = ["add_parser", "join_windows", "run"]


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
            "specvit predict star.fits --plot star.pdf",
            about="FILE is a file of a survey or instrument in a layout that is known (page Files of the "
            "documentation), anything else that specutils reads, or a table, FITS or text, with the columns "
            "wavelength, flux and, optionally, uncertainty (or ivar) and mask: by name, or the first two or "
            "three in this order when the columns have no names. A folder stands for the files in it, @LIST "
            "for those in a list, @TABLE for those in the column file of a table, which may also have the "
            "columns velocity and name, a pattern in quotes for those that match. HDF5, Zarr and .npy files "
            "hold arrays called flux and, if there are any, ivar, wave, name.",
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
        metavar="NAME|LOW HIGH",
        help="wavelengths not to be used, as observed: telluric, none, or a window in vacuum Angstrom, as "
        "7590 7705 or 7590-7705; may be repeated",
    )
    parser.add_argument(
        "--velocity",
        type=_velocity,
        metavar="fit|KM/S|COLUMN",
        help="radial velocity to remove: measured of each spectrum, one for all, or a column of @TABLE "
        "(default: its column velocity, else what the files say)",
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
        "--damage",
        type=mask_bits,
        metavar="NAME,…|none",
        help="mask bits that mean a lost pixel in files of PFS, by their names, as CR,NO_DATA; none looks at "
        "no bit (default: those of damage, and every bit where a file names none)",
    )
    parser.add_argument(
        "--output",
        type=user_path,
        metavar="TABLE",
        help="also write every column to this table (.ecsv .fits .vot .h5 .parquet .csv), part by part: "
        "after a kill the same command goes on; - is the standard output, for programs",
    )
    parser.add_argument(
        "--output-format",
        choices=FORMATS,
        help="of rows on the standard output, instead of lines to read (default with --output -: csv)",
    )
    parser.add_argument("--plot", type=user_path, metavar="DIR|FILE", help=PLOT_HELP)
    parser.add_argument("--overwrite", action="store_true", help="replace TABLE if it exists")
    parser.add_argument("--device", metavar="DEVICE", help="auto (default), cpu or cuda")
    parser.add_argument(
        "--batch-size",
        type=count,
        metavar="N",
        help="read together, and one part of TABLE (default: 32 files, or 256 spectra)",
    )
    parser.add_argument(
        "--workers",
        type=count,
        default=1,
        metavar="N",
        help="processes that read ahead (default: 1, a thread)",
    )
    parser.add_argument("--quiet", action="store_true", help="print no rows and no progress")
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
    if args.files and args.example:
        raise ValueError("give FILE or --example, not both")
    stdout = str(args.output) == "-"
    if args.output is not None and not stdout and args.output.exists() and not args.overwrite:
        raise FileExistsError(f"{args.output} exists; --overwrite replaces it")
    source = Example() if args.example else _source(args)  # before anything slow
    if args.plot is not None:
        from specvit.assess.plots.fitpages import check_place

        check_place(args.plot)

    import specvit
    from specvit.stream import predict_parts, predict_stream

    estimator = specvit.LoggEstimator(**given(args, "weights", "device"))
    options = given(args, "instrument", "mask", "lower_resolution", "min_coverage", "medium", "resolution")
    options |= {} if args.given is None else {"given": dict(args.given)}
    options |= {"velocity": "fit"} if args.velocity == "fit" else {}
    stated = dict(options)
    options |= {"workers": args.workers, "processes": args.workers > 1}
    rows = RowPrinter(args, machine=stdout)
    progress = False if args.quiet else None
    try:
        if args.output is None or stdout:
            line = ProgressLine(source.unit, progress)
            for part in predict_parts(source, estimator, **options):
                rows.add(part)
                if source.total is None or source.total > part.size:
                    line(sum(rows.sizes), source.total)
        else:
            options |= {"overwrite": args.overwrite, "progress": progress, "on_part": rows.add}
            summary = predict_stream(source, args.output, estimator, batch_size=args.batch_size, **options)
            if args.quiet is False and summary.rows > 1:
                tell(f"specvit: {summary}")
    except KeyboardInterrupt:
        kept = "" if args.output is None or stdout else f"; the same command goes on from {args.output}.parts"
        tell(f"\nspecvit: interrupted after {rows.count} spectra{kept}")
        return 130
    rows.tell_notes()
    if args.plot is not None:
        draw_fits(args, estimator, stated)
    return int(rows.failed > 0)


def _source(args):
    """The files, or the arrays in a file, opened for reading in pieces."""
    velocity = args.velocity if args.velocity != "fit" else None
    files = files_with_velocities(args.files, velocity)
    if args.velocity == "fit" and "velocity" in files.colnames:
        files.remove_column("velocity")

    from specvit.stream import open_source

    reading = {name: getattr(args, name) for name in READING}
    one = len(files) == 1 and files.colnames == ["file"]
    return open_source(files["file"].tolist() if one else files, batch_size=args.batch_size, reading=reading)


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


def _velocity(text):
    """Type of ``--velocity``: the word, a finite number, or the name of a column."""
    try:
        number = float(text)
    except ValueError:
        return text
    if number - number != 0:
        raise argparse.ArgumentTypeError(f"must be finite, got {text}")
    return number


def join_windows(arguments):
    """Arguments with ``--mask LOW HIGH`` written as ``--mask LOW-HIGH``, which leaves the files after it."""
    joined = []
    for one in arguments:
        if joined[-2:-1] == ["--mask"] and _is_number(joined[-1]) and _is_number(one):
            joined[-1] += f"-{one}"
        else:
            joined.append(one)
    return joined


def _is_number(text):
    try:
        return float(text) > 0
    except ValueError:
        return False


def _resolution_rule(text):
    """Type of ``--lower-resolution``: a word or a resolving power."""
    try:
        return text if text in ("raise", "flag") else positive(text)
    except argparse.ArgumentTypeError:
        message = f"must be raise, flag or a positive resolving power, got {text}"
        raise argparse.ArgumentTypeError(message) from None
