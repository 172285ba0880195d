"""``specvit train``: train a network on a simulated survey or on a data set."""

from __future__ import annotations

from specvit.cli.common import (
    SPECTROGRAPH,
    add_output,
    add_traceback,
    check_output,
    count,
    examples,
    given,
    positive,
)
from specvit.cli.simulate import add_survey_options, make_survey
from specvit.paths import user_path

__all__ = ["add_parser", "run"]

_NETWORK = ("width", "depth", "heads", "patch_size", "loss")
_TRAINING = ("epochs", "batch_size", "learning_rate", "patience", "precision", "device", "checkpoint_dir")


def add_parser(commands):
    """Add the command to `commands`, the subparsers of the command line."""
    parser = commands.add_parser(
        "train",
        help="train a network on a survey or a data set",
        description="Train a network, on a survey that is simulated as training goes or on a data set, and "
        "write its weights to a file that predict --weights takes.",
        **examples(
            "specvit train paper/ --epochs 20 --out my_weights.safetensors",
            "specvit train paper --range 7100 8850 --resolving-power 2500 --snr 20 200 --out own.safetensors",
            "specvit train paper --emulator mine.safetensors --snr 20 200 --out mine.weights.safetensors",
        ),
    )
    parser.add_argument(
        "survey", metavar="SURVEY|DATASET", help="paper or pfs-mr; or a folder or file of simulate's"
    )
    add_output(parser, "the weights")
    length = parser.add_argument_group("how long")
    length.add_argument("--epochs", type=count, metavar="N", help="times that each spectrum is seen")
    length.add_argument("--n", type=count, metavar="N", help="stars of a survey (default: no end to them)")
    length.add_argument("--steps", type=count, metavar="N", help="batches of a survey, instead of the above")
    add_survey_options(parser.add_argument_group("survey"))
    network = parser.add_argument_group("network (the defaults are those of specvit.LoggEstimator)")
    network.add_argument("--weights", metavar="NAME|PATH", help="fine-tune these (default: start from none)")
    network.add_argument("--labels", nargs="+", metavar="LABEL", help="of teff logg mh alpham cm, with logg")
    network.add_argument("--width", type=count, metavar="N")
    network.add_argument("--depth", type=count, metavar="N", help="number of layers")
    network.add_argument("--heads", type=count, metavar="N")
    network.add_argument("--patch-size", type=count, metavar="PIXELS")
    network.add_argument("--loss", choices=["gaussian_nll", "l1", "mse", "huber"])
    training = parser.add_argument_group("training (the defaults are those of specvit.LoggEstimator)")
    training.add_argument("--batch-size", type=count, metavar="N")
    training.add_argument("--learning-rate", type=positive, metavar="RATE")
    training.add_argument("--patience", type=count, metavar="N", help="epochs without improvement")
    training.add_argument("--precision", choices=["auto", "32-true", "64-true", "bf16-mixed", "16-mixed"])
    training.add_argument("--device", metavar="DEVICE", help="auto (default), cpu or cuda")
    training.add_argument(
        "--checkpoint-dir",
        type=user_path,
        metavar="FOLDER",
        help="where an interrupted run is taken up again",
    )
    training.add_argument("--quiet", action="store_true", help="show no progress")
    add_traceback(parser)
    parser.set_defaults(run=run)


def run(args):
    """Carry the command out; returns its exit status."""
    check_output(args)
    data, options = _data(args)

    import specvit

    estimator = specvit.LoggEstimator(
        weights=args.weights,
        random_state=args.seed or 0,
        progress=False if args.quiet else None,
        **given(args, *_NETWORK, *_TRAINING) | options,
    )
    estimator.fit(data).save(args.out)
    print(f"network trained on {data!r}: {args.out}")
    return 0


def _data(args):
    """What is trained on, and the estimator's parameters that follow from it."""
    labels = {} if args.labels is None else {"labels": tuple(args.labels)}
    if user_path(args.survey).exists():
        for name in ("n", "steps", "magnitude", "emulator", "snr", "mask", *SPECTROGRAPH):
            if getattr(args, name) is not None:
                raise ValueError(f"--{name.replace('_', '-')} is for surveys, {args.survey} is a data set")

        from specvit.dataset import SpectrumDataset

        return SpectrumDataset(args.survey), labels
    if args.steps is None:
        return make_survey(args, n=args.n), labels
    if not (args.epochs is None and args.n is None):
        raise ValueError("--steps must not be given with --epochs or --n")

    from specvit import LoggEstimator

    size = args.batch_size or LoggEstimator().batch_size
    return make_survey(args, n=args.steps * size), labels | {"epochs": 1}
