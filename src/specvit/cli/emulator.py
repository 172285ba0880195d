"""``specvit emulator``: fit an emulator of stellar spectra to a library, and show what one is worth."""

from __future__ import annotations

import json
import time

from specvit.cli.common import add_output, add_traceback, check_output, count, examples, given, positive, tell
from specvit.paths import user_path

__all__ = ["add_parser", "format_report", "run_fit", "run_info"]


def add_parser(commands):
    """Add the command to `commands`, the subparsers of the command line."""
    parser = commands.add_parser(
        "emulator",
        help="fit an emulator to a library of spectra, or describe one",
        **examples("specvit emulator info", "specvit emulator fit --help"),
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_fit(actions)
    info = actions.add_parser(
        "info",
        help="what an emulator was made from, and its validation report",
        **examples("specvit emulator info", "specvit emulator info mine.safetensors --json"),
    )
    info.add_argument("file", nargs="?", type=user_path, metavar="FILE", help="default: the one that ships")
    info.add_argument("--json", action="store_true", help="the whole record, as JSON")
    add_traceback(info)
    info.set_defaults(run=run_info)


def _add_fit(actions):
    fit = actions.add_parser(
        "fit",
        help="fit an emulator to a library",
        description="Fit an emulator to a library of synthetic spectra, on the pixels and at the "
        "resolution of a spectrograph, and measure it on spectra held out of the fit.",
        **examples(
            "specvit emulator fit library/ --range 7110 8840 --pixels 2048 --fwhm 3 --out own.safetensors",
            "specvit emulator fit bosz/ --limit teff 3500 6500 --microturbulence 2 --out bosz.safetensors",
            about="LIBRARY is a folder (or files) with d*.npz files of this project's kind, or with spectra "
            "of BOSZ, of 2017 or 2024. The library must be sharper than 0.85 of the spectrograph's line "
            "spread function.",
        ),
    )
    fit.add_argument("library", nargs="+", type=user_path, metavar="LIBRARY")
    add_output(fit, "the emulator")
    grid = fit.add_argument_group("spectrograph")
    grid.add_argument("--grid", choices=["pfs-mr"], help="a known one (default: pfs-mr)")
    grid.add_argument(
        "--range", nargs=2, type=positive, metavar=("LOW", "HIGH"), help="vacuum wavelengths in Å"
    )
    grid.add_argument("--pixels", type=count, metavar="N", help="equal pixels between LOW and HIGH")
    grid.add_argument("--fwhm", type=positive, metavar="Å", help="of the Gaussian line spread function")
    spectra = fit.add_argument_group("spectra of BOSZ")
    spectra.add_argument(
        "--microturbulence", type=float, metavar="KM/S", help="which to take where there are several"
    )
    spectra.add_argument(
        "--resolving-power", type=positive, metavar="R", help="to smooth to (default: at most 20,000)"
    )
    spectra.add_argument(
        "--limit",
        nargs=3,
        action="append",
        metavar=("LABEL", "LOW", "HIGH"),
        help="take spectra within these limits only, such as teff 3500 6500; may be repeated",
    )
    network = fit.add_argument_group("fit (the defaults are those of specvit.Emulator.fit)")
    network.add_argument("--components", dest="n_components", type=count, metavar="N")
    network.add_argument("--width", type=count, metavar="N", help="of the networks' layers")
    network.add_argument("--members", type=count, metavar="N", help="networks to average")
    network.add_argument("--steps", type=count, metavar="N", help="of the optimiser")
    network.add_argument("--held-out", type=positive, metavar="SHARE", help="of the library")
    network.add_argument("--seed", type=int, metavar="N")
    network.add_argument("--device", metavar="DEVICE", help="cpu or cuda")
    add_traceback(fit)
    fit.set_defaults(run=run_fit)


def run_fit(args):
    """Carry ``emulator fit`` out; returns its exit status."""
    check_output(args)
    grid = _grid(args)
    limits = {name: (float(low), float(high)) for name, low, high in args.limit or ()}

    from specvit.stars import Emulator, read_library
    from specvit.stars.library import needed_range

    source = args.library[0] if len(args.library) == 1 else args.library
    options = given(args, "microturbulence", "resolving_power") | ({"limits": limits} if limits else {})
    library = read_library(source, wave_range=needed_range(grid), **options)
    tell(f"{len(library)} spectra at R = {library.resolving_power:g}")
    start = time.perf_counter()
    emulator = Emulator.fit(
        library,
        grid,
        progress=lambda step, loss: tell(
            f"step {step}, loss {loss:.6f}, {time.perf_counter() - start:.0f} s"
        ),
        **given(args, "n_components", "width", "members", "steps", "held_out", "seed", "device"),
    )
    emulator.save(args.out)
    print(format_report(emulator))
    return 0


def run_info(args):
    """Carry ``emulator info`` out; returns its exit status."""
    from specvit.stars import Emulator

    emulator = Emulator.load(args.file)
    print(json.dumps(emulator.record, indent=2) if args.json else format_report(emulator))
    return 0


def format_report(emulator):
    """The record of an `~specvit.Emulator` as text.

    Parameters
    ----------
    emulator : Emulator
        An emulator with a record of its check.

    Returns
    -------
    str
        Pixels, label ranges, and, if it was measured, its errors on held-out spectra by Teff and the
        checks of float32 evaluation and of derivatives.
    """
    from specvit.labels import LABELS

    grid, record = emulator.grid, emulator.record
    power = grid.resolving_power
    lines = [
        f"emulator on {grid.name}: {len(grid)} pixels, {grid.edges[0]:.1f}–{grid.edges[-1]:.1f} Å "
        f"({grid.medium}), R = {power.min():.0f}–{power.max():.0f}",
        *(
            f"  {name}: {low:.4g} to {high:.4g}"
            for name, (low, high) in zip(LABELS, emulator.label_range.T.tolist(), strict=True)
        ),
    ]
    known = [
        f"{key} {record[key]}" for key in ("n_spectra", "n_components", "steps", "seed") if key in record
    ]
    if known:
        lines.append(f"  fitted with: {', '.join(known)}")
    report = record.get("validation")
    if report is None:
        return "\n".join([*lines, "  no validation report"])
    lines += [
        "  rms error of the normalised flux of held-out spectra, in per cent:",
        "    Teff [K]        n    median    90 % below",
        *(_row(f"{row['low']:.0f}–{row['high']:.0f}", row) for row in report["by_teff"]),
        _row("all", report),
        f"  float32 against float64: {report['float32']:.1e} at most",
        f"  derivatives against finite differences: {report['derivatives']:.1e} at most, relative",
    ]
    return "\n".join(lines)


def _row(name, row):
    return f"    {name:<12}{row['n']:>5}{100 * row['median']:>10.3f}{100 * row['p90']:>14.3f}"


def _grid(args):
    """The `PixelGrid` that the arguments describe."""
    from specvit.grid import FWHM_PER_SIGMA, PFS_MR, PixelGrid

    own = {"--range": args.range, "--pixels": args.pixels, "--fwhm": args.fwhm}
    absent = [name for name, value in own.items() if value is None]
    if len(absent) == len(own):
        return PFS_MR
    if args.grid is not None:
        raise ValueError("--grid must not be given with --range, --pixels and --fwhm")
    if absent:
        raise ValueError(f"--range, --pixels and --fwhm go together, {', '.join(absent)} is missing")
    low, high = args.range
    return PixelGrid.linear(low, high, args.pixels, args.fwhm / FWHM_PER_SIGMA, name="own grid")
