"""``specvit evaluate``: how good networks and their peers are, beside the limits, as a report."""

from __future__ import annotations

import shlex
from pathlib import Path

from specvit.cli.common import add_traceback, count, examples, given, tell
from specvit.paths import user_path

__all__ = ["add_parser", "run"]

#: Most spectra with which the audit asks a predictor.
PREDICTOR_AUDIT = 4000


def add_parser(commands):
    """Add the command to `commands`, the subparsers of the command line."""
    parser = commands.add_parser(
        "evaluate",
        help="measure weights and other methods on the same spectra, and write a report",
        description="Measure networks, and other methods if asked for, on identical spectra and noise of a "
        "survey or data set; compute the limits that nothing can beat; write a report with figures.",
        **examples(
            "specvit evaluate --weights paper --n 2000 --out report/",
            "specvit evaluate --weights paper mine.safetensors --baselines ridge lightgbm --out report/",
            about="Exit status 1: the report is written, but an audit was not passed.",
        ),
    )
    parser.add_argument(
        "--weights", nargs="*", metavar="NAME|PATH", help="bundled weights or files (default: all bundled)"
    )
    parser.add_argument(
        "--out", type=user_path, required=True, metavar="FOLDER", help="where the report goes"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a report that is there")
    spectra = parser.add_argument_group("spectra")
    source = spectra.add_mutually_exclusive_group()
    source.add_argument("--survey", default="paper", help="paper (default) or pfs-mr")
    source.add_argument(
        "--dataset", type=user_path, metavar="PATH", help="instead, a folder or file of simulate's"
    )
    spectra.add_argument("--n", type=count, default=4000, help="stars (default: %(default)s)")
    spectra.add_argument(
        "--magnitudes", nargs="+", type=float, metavar="M", help="observe all n stars at each (surveys only)"
    )
    spectra.add_argument("--labels", nargs="+", default=["logg"], metavar="LABEL", help="default: logg")
    spectra.add_argument("--seed", type=int, default=0, metavar="N", help="of stars and noise (default: 0)")
    peers = parser.add_argument_group("peers")
    peers.add_argument(
        "--baselines",
        nargs="+",
        default=[],
        choices=["ridge", "lightgbm", "chi2"],
        metavar="PEER",
        help="ridge, lightgbm, chi2: train these and measure them too",
    )
    peers.add_argument(
        "--train-size", type=count, default=50_000, metavar="N", help="spectra to train on (default: 50,000)"
    )
    peers.add_argument(
        "--train-dataset", type=user_path, metavar="PATH", help="what to train on with --dataset"
    )
    limits = parser.add_argument_group("limits and audits")
    limits.add_argument("--no-limits", dest="limits", action="store_false", help="compute no limits")
    limits.add_argument("--limit-stars", type=count, metavar="N", help="that limits rest on (default: 500)")
    limits.add_argument("--audit", action="store_true", help="look for leaks of the labels, and calibration")
    limits.add_argument(
        "--audit-size", type=count, default=20_000, metavar="N", help="spectra of the audit (default: 20,000)"
    )
    parser.add_argument("--device", default="cpu", metavar="DEVICE", help="cpu (default) or cuda")
    add_traceback(parser)
    parser.set_defaults(run=run)


def run(args):
    """Carry the command out; returns its exit status."""
    if (args.out / "report.md").exists() and not args.overwrite:
        raise FileExistsError(f"{args.out / 'report.md'} exists; --overwrite replaces it")
    if args.train_dataset is not None and args.dataset is None:
        raise ValueError("--train-dataset goes with --dataset: of a survey, other stars are drawn")
    learned = [name for name in args.baselines if name != "chi2"]
    if args.dataset is not None and learned and args.train_dataset is None:
        raise ValueError(f"--baselines {learned[0]} with --dataset needs --train-dataset")

    from specvit.assess import evaluate
    from specvit.assess.duration import expected_seconds
    from specvit.assess.report import write_report
    from specvit.labels import label_tuple

    args.labels = list(label_tuple(args.labels))
    data = _data(args)
    predictors, record = _predictors(args, data)
    tell(f"measuring {', '.join(predictors)} on {data!r}")
    options = given(args, "magnitudes", "limit_stars", "limits", "seed", "device")
    options |= {"labels": tuple(args.labels), "n": _number(args, args.n, data)}
    _tell_duration(args, data, expected_seconds(predictors, data, **options))
    table, predictions = evaluate(predictors, data, return_predictions=True, **options)
    audits = _audits(args, data, predictors, predictions) if args.audit else None
    path = write_report(
        args.out,
        table,
        predictions=predictions,
        audits=audits,
        title=f"Evaluation of {', '.join(predictors)}",
        command=_command(args),
        record=record,
    )
    print(path)
    return int(any(audit.attrs.get("passed") is False for audit in (audits or {}).values()))


def _number(args, asked, data):
    """How many spectra are taken where so many are asked for: a data set may have fewer."""
    return asked if args.dataset is None else min(asked, len(data))


def _tell_duration(args, data, seconds):
    """Say how long the work will take, where a trial has told `seconds` of it."""
    if not seconds:
        return
    if args.audit:  # asks each predictor twice for each label
        one = seconds["predictions"] / (_number(args, args.n, data) * len(args.magnitudes or [None]))
        asked = 2 * len(args.labels) * _number(args, min(args.audit_size, PREDICTOR_AUDIT), data)
        seconds = seconds | {"audits of predictors": one * asked}
    parts = ", ".join(f"{what} {_in_words(time)}" for what, time in seconds.items())
    more = " (the audit of leakage comes on top)" if args.audit else ""
    tell(f"about {_in_words(sum(seconds.values()))}: {parts}{more}")


def _in_words(seconds):
    """A time to two digits, as "45 s" or "12 min"."""
    for unit, length, most in (("s", 1, 99.5), ("min", 60, 99.5), ("h", 3600, float("inf"))):
        if seconds / length < most:
            return f"{float(f'{seconds / length:.2g}'):g} {unit}"


def _command(args):
    """A command line that does the same again, defaults written out."""
    words = ["specvit", "evaluate"]
    for name, value in vars(args).items():
        option = f"--{name.replace('_', '-')}"
        if name == "limits":
            words += [] if value else ["--no-limits"]
        elif isinstance(value, bool):
            words += [option] if value and name != "traceback" else []
        elif isinstance(value, list):
            words += [option, *map(str, value)] if value else []
        elif value is not None and not callable(value) and not (name == "survey" and args.dataset):
            words += [option, str(value)]
    return shlex.join(words)


def _data(args):
    from specvit.dataset import SpectrumDataset
    from specvit.survey import Survey

    return Survey(args.survey) if args.dataset is None else SpectrumDataset(args.dataset)


def _predictors(args, data):
    """Networks and peers by the names of the report, and what it records of them."""
    from specvit.dataset import SpectrumDataset
    from specvit.predictors import LightGBMEstimator, LoggEstimator, RidgeEstimator, TemplateFit
    from specvit.survey import Survey
    from specvit.weights import list_weights, load_weights

    found, record, labels = {}, {}, tuple(args.labels)
    for source in list_weights() if args.weights is None else args.weights:
        _, grid, about = load_weights(source)
        if grid is not None and data.grid is not None and grid != data.grid:
            raise ValueError(f"weights {source}: their grid is {grid!r}, that of the spectra {data.grid!r}")
        name = f"ViT {Path(source).stem if user_path(source).is_file() else source}"
        found[name] = LoggEstimator(source, device=args.device)
        record[name] = about.get("command", "trained from Python")
    training = None
    if set(args.baselines) & {"ridge", "lightgbm"}:
        if args.dataset is None:
            training = Survey(args.survey, n=args.train_size, seed=args.seed + 1)
        else:
            training = SpectrumDataset(args.train_dataset)
    for choice in dict.fromkeys(args.baselines):
        if choice == "chi2":
            found["χ² fit"] = TemplateFit(labels=labels, device=args.device).fit(data)
            continue
        name, peer = {
            "ridge": ("Ridge", lambda: RidgeEstimator(labels=labels, device=args.device)),
            "lightgbm": ("LightGBM", lambda: LightGBMEstimator(labels=labels)),
        }[choice]
        tell(f"training {name} on {training!r}")
        found[name] = peer().fit(training)
        record[name] = f"trained on {training!r}"
    if not found:
        raise ValueError("there is nothing to measure: give --weights or --baselines")
    return found, record


def _audits(args, data, predictors, predictions):
    from specvit.assess import audit_calibration, audit_leakage, audit_predictor

    options = {"seed": args.seed, "device": args.device}
    size = _number(args, args.audit_size, data)
    audits = {}
    for label in args.labels:
        tell(f"auditing {label}")
        audits[f"Leakage of {label}"] = audit_leakage(data, n=size, label=label, **options)
        for name, predictor in predictors.items():
            if label in predictor.label_names:
                audit = audit_predictor(predictor, data, n=min(size, PREDICTOR_AUDIT), label=label, **options)
                audits[f"{label} read from the errors by {name}"] = audit
    audits["Calibration"] = audit_calibration(predictions)
    return audits
