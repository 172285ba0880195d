"""Run studies: ``python -m studies scaling tokens --device cuda --devices 4 --max-minutes 9``.

Several studies may be named; without a name all are run. Configurations that are finished are not run again,
and one that was interrupted goes on from its checkpoint if it is expected to take a minute or more; shorter
ones start again. Run the same command until it says FINISHED (exit status 0; 3 if something is left, 1 if
something failed). ``--plan`` says what is left and how long it is expected to take, and runs nothing.

Rows that are in the store, docs/results/studies/rows.jsonl, are finished, unless ``--again`` is given; with
``--rows docs/results/studies/rows.jsonl`` new ones go there, and ``python -m studies.tables`` makes of them
the tables and figures of the documentation.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from studies.catalogue import STUDIES
from studies.ledger import STORE, Ledger, read_rows
from studies.runner import ordered, plan_lines, run
from studies.study import Study

UNFINISHED = 3  # exit status


def _revision():
    """Git revision of the source, with a mark where it was changed."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m studies", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="STUDY", help=f"of {', '.join(STUDIES)}; default: all")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--devices", type=int, default=1, help="number of devices")
    parser.add_argument(
        "--sharing",
        type=int,
        default=1,
        help="workers of each device: faster for small networks, but their rows tell no cost",
    )
    parser.add_argument("--core-workers", type=int, default=1, help="workers for what runs on cores")
    parser.add_argument("--out", default="build/studies", help="folder of finished rows and checkpoints")
    parser.add_argument("--rows", help="file of JSON lines for all finished rows")
    parser.add_argument(
        "--known", action="append", help="file of rows that are not run again; default: the store"
    )
    parser.add_argument("--again", action="store_true", help="run finished rows again")
    parser.add_argument("--data", help="file of real stars for the study real, see studies.realstars")
    parser.add_argument("--max-minutes", type=float, help="time of this call")
    parser.add_argument("--only", nargs="*", help="variants whose names contain one of these words")
    parser.add_argument("--seeds", type=int, help="only the first seeds")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--revision", help="for the record; default: what git says")
    parser.add_argument("--tiny", action="store_true", help="a few steps on small sets, to rehearse")
    parser.add_argument("--plan", action="store_true")
    return parser


def _chosen(study, only, n_seeds, tiny):
    """The study with some of its variants and seeds, for rehearsal with tiny sizes."""
    variants = {}
    for name, own in study.variants.items():
        if only and not any(word in name for word in only):
            continue
        kept = [one for one in own if n_seeds is None or one.seed < n_seeds]
        variants[name] = [_tiny(one) for one in kept] if tiny else kept
    return replace(study, variants=variants)


def _tiny(configuration):
    """The same configuration with a small network, few spectra and a few steps."""
    changes = dict(configuration.changes) | {"width": 16, "depth": 1, "heads": 2, "mlp": 16}
    n = configuration.spectra and max(64, configuration.spectra // 4000)
    options = dict(configuration.options)
    if configuration.method == "lightgbm":
        options |= {"n_trees": 3, "min_child_samples": 2} | ({"n_components": 4} if options else {})
    if configuration.method == "template":
        options |= {"n_templates": 64, "n_starts": 1}
    if configuration.method == "posterior":
        options |= {"n_prior": 512, "n_draws": 100, "n_rounds": 2}
    return replace(
        configuration,
        changes=tuple(changes.items()),
        options=tuple(options.items()),
        spectra=n,
        steps=4,
        batch_size=16,
        n_test=40,
        precision="auto" if configuration.precision == "16-mixed" else configuration.precision,
    )


def main(arguments=None):
    """Run the command line; returns the exit status."""
    begun = time.time()
    words = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    chosen = parser.parse_args(words)
    unknown = [name for name in chosen.names if name not in STUDIES]
    if unknown:
        parser.error(f"STUDY must be among {', '.join(STUDIES)}, got {unknown[0]!r}")
    if "real" in chosen.names and not (chosen.data or chosen.plan):
        parser.error("--data must be given for the study real")
    names = chosen.names or [name for name in STUDIES if name != "real" or chosen.data or chosen.plan]
    studies: list[Study] = [_chosen(STUDIES[name], chosen.only, chosen.seeds, chosen.tiny) for name in names]
    tasks = ordered(studies)
    known = [] if chosen.again else chosen.known or [STORE]
    if chosen.again:
        for one in tasks:
            Ledger(chosen.out).forget(one.key)
    if chosen.plan:
        finished = set(Ledger(chosen.out).rows())
        finished |= {key for path in known for key in read_rows(path)}
        print("\n".join(plan_lines(studies, finished, chosen.devices)))
        return 0
    complete = run(
        tasks,
        chosen.out,
        device=chosen.device,
        devices=chosen.devices,
        sharing=chosen.sharing,
        core_workers=chosen.core_workers,
        max_minutes=chosen.max_minutes,
        rows=chosen.rows,
        known=known,
        data=chosen.data,
        compiled=not chosen.no_compile,
        revision=chosen.revision or _revision(),
        command="python -m studies " + shlex.join(Path(x).name if "/" in x else x for x in words),
        begun=begun,
    )
    left = [one for one in tasks if not Ledger(chosen.out).finished(one.key)]
    print(f"{'FINISHED' if complete else 'UNFINISHED'}: {len(left)} of {len(tasks)} rows left")
    if complete:
        return 0
    return 1 if any(Ledger(chosen.out).failed(one.key) for one in left) else UNFINISHED


if __name__ == "__main__":
    sys.exit(main())
