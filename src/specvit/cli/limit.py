"""``specvit limit``: how well the labels of a star can be known at its S/N, with a spectrograph."""

from __future__ import annotations

import argparse

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

__all__ = ["add_parser", "run"]


def add_parser(commands):
    """Add the command to `commands`, the subparsers of the command line."""
    parser = commands.add_parser(
        "limit",
        help="the least error of each label of a star, at its S/N and with a spectrograph",
        description="The least 1-sigma error of Teff, log g, [M/H], [alpha/M] and [C/M] of a star, whoever "
        "estimates them, from the Fisher information of its spectrum.",
        **examples(
            "specvit limit --teff 4500 --logg 2 --mh -0.3 --snr 50",
            "specvit limit --teff 4500 --logg 2 --mh -0.3 --snr 50 --instrument SDSS --plot limit.png",
            "specvit limit --teff 5800 --logg 4.4 --mh 0 --range 8400 8800 --resolving-power 2500 "
            "--given teff=50",
        ),
    )
    star = parser.add_argument_group("star")
    for name, what in (
        ("teff", "K"),
        ("logg", "dex(cm/s2)"),
        ("mh", "dex"),
        ("alpham", "dex"),
        ("cm", "dex"),
    ):
        needed = name in ("teff", "logg", "mh")
        star.add_argument(
            f"--{name}",
            type=float,
            required=needed,
            metavar="X",
            help=what + ("" if needed else " (default: 0)"),
        )
    star.add_argument("--snr", type=positive, default=50.0, help="per pixel (default: %(default)g)")
    add_spectrograph(parser.add_argument_group("spectrograph (default: PFS MR)"))
    parser.add_argument(
        "--given",
        action="append",
        type=_known,
        metavar="LABEL=SIGMA",
        help="sigma with which a label is known from elsewhere, as teff=50; may be repeated",
    )
    parser.add_argument(
        "--posteriors",
        type=count,
        metavar="N",
        help="also find the posteriors of N simulated spectra, which hold where sigma is large",
    )
    parser.add_argument(
        "--plot", type=user_path, metavar="FILE", help="figure of the wavelengths that carry the information"
    )
    add_traceback(parser)
    parser.set_defaults(run=run)


def run(args):
    """Carry the command out; returns its exit status."""
    grid, known = own_grid(args), dict(args.given or ())

    from specvit.limits import star_limit

    options = given(args, "instrument", "posteriors")
    options |= {} if grid is None else {"grid": grid}
    star = given(args, "teff", "logg", "mh", "alpham", "cm")
    limit = star_limit(star, snr=args.snr, given=known, **options)
    print(limit)
    if args.plot is not None:
        from specvit.assess.figures import new_figure, save_figure
        from specvit.assess.plots import plot_star_limit

        figure = new_figure((7.0, 4.8))
        plot_star_limit(limit, figure=figure)
        suffix = args.plot.suffix.removeprefix(".") or "png"
        print(*save_figure(figure, args.plot, (suffix,)))
    return 0


def _known(text):
    """Type of ``--given``: a label, and the σ with which it is known."""
    name, _, sigma = text.partition("=")
    try:
        return name, positive(sigma)
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"must be LABEL=SIGMA, as teff=50, got {text}") from None
