"""``specvit simulate``: write a simulated survey to disk."""

from __future__ import annotations

from specvit.cli.common import (
    add_spectrograph,
    add_traceback,
    count,
    examples,
    given,
    own_grid,
    positive,
)
from specvit.paths import user_path

__all__ = ["add_parser", "add_survey_options", "make_survey", "run"]


def add_parser(commands):
    """Add the command to `commands`, the subparsers of the command line."""
    parser = commands.add_parser(
        "simulate",
        help="write simulated spectra of a survey to HDF5 files",
        description="Simulate spectra of a survey and write them to HDF5 files. Called again after an "
        "interruption, it takes up the work where it stopped.",
        **examples(
            "specvit simulate paper --n 200_000 --out paper/",
            "specvit simulate paper --n 10_000 --first-stream 100_000 --out test.h5",
            "specvit simulate paper --n 10_000 --instrument SDSS --snr 20 200 --out sdss.h5",
        ),
    )
    parser.add_argument("survey", metavar="SURVEY", help="paper or pfs-mr")
    parser.add_argument("--n", type=count, required=True, metavar="N", help="number of spectra")
    parser.add_argument(
        "--out", type=user_path, required=True, metavar="PATH", help="folder for shards, or one file (.h5)"
    )
    add_survey_options(parser)
    parser.add_argument("--shard-size", type=count, metavar="N", help="spectra in a file (default: 10,000)")
    parser.add_argument(
        "--first-stream",
        type=int,
        metavar="K",
        help="where the survey's streams begin; sets that share no stream share no star (default: 0)",
    )
    parser.add_argument("--device", metavar="DEVICE", help="cpu (default) or cuda")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    add_traceback(parser)
    parser.set_defaults(run=run)


def run(args):
    """Carry the command out; returns its exit status."""
    survey = make_survey(args)

    from specvit.dataset import write_dataset

    paths = write_dataset(
        survey,
        args.out,
        args.n,
        progress=False if args.quiet else None,  # on a terminal only
        **given(args, "shard_size", "first_stream", "device"),
    )
    print(f"{args.n} spectra of {survey!r} in {len(paths)} file{'s' * (len(paths) > 1)}: {args.out}")
    return 0


def add_survey_options(parser):
    """Options that change a survey: its stars, spectrograph, emulator and noise."""
    parser.add_argument("--seed", type=int, metavar="N", help="of stars and noise (default: 0)")
    parser.add_argument(
        "--magnitude",
        nargs=2,
        type=float,
        metavar=("BRIGHT", "FAINT"),
        help="limits of the AB magnitudes instead of the survey's own",
    )
    parser.add_argument("--emulator", type=user_path, metavar="FILE", help="instead of the one that ships")
    parser.add_argument(
        "--snr",
        nargs=2,
        type=positive,
        metavar=("LOW", "HIGH"),
        help="S/N of flat noise instead of PFS's, without its imperfections: for any spectrograph",
    )
    parser.add_argument(
        "--mask",
        nargs=2,
        type=positive,
        action="append",
        metavar=("LOW", "HIGH"),
        help="wavelengths in Å without information; may be repeated",
    )
    add_spectrograph(parser)


def make_survey(args, **more):
    """The `~specvit.Survey` that the arguments describe."""
    from specvit.stars import Emulator, regrid_emulator
    from specvit.survey import Augmentation, SNRNoise, Survey, preset_survey

    options, grid = given(args, "seed", "magnitude") | more, own_grid(args)
    if args.snr is None and not (grid is None and args.instrument is None):
        raise ValueError("--snr must say how good the spectra of another spectrograph than PFS are")
    emulator = None if args.emulator is None else Emulator.load(args.emulator)
    if grid is not None:
        emulator = regrid_emulator(emulator or Emulator.load(), grid)
    elif args.instrument is not None:
        seen = preset_survey(args.instrument, emulator=emulator)
        emulator, options["masked"] = seen.emulator, list(seen.masked)
    options |= {} if emulator is None else {"emulator": emulator}
    if args.snr is not None:
        options |= {"noise": SNRNoise(args.snr), "augmentation": Augmentation()}
    if args.mask is not None:
        options["masked"] = [*options.get("masked", ()), *args.mask]
    return Survey(args.survey, **options)
