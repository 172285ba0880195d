"""The main figure and table of the documentation: networks, peers and limits on the same stars and noise.

usage: python scripts/make_main_figure.py --out docs/results [--device cuda] [--limits-check]

Ridge and LightGBM, on pixels and on principal components, are trained on --n-train noisy spectra of the
survey ``paper``. They, the bundled networks and a chi2 fit are measured on the same --n-test stars at each
magnitude, and on as many with the survey's own magnitudes. What is done is kept in --work, so that a run
that was cut off continues. --redraw draws the figures anew from the table in --out, in a second.

With --limits-check it asks instead whether limits are limits: on --stars stars in all, other ones at each
magnitude, no predictor may exceed the Bayes limit of these very stars by more than twice the error.
"""

import argparse
import csv
import json
import os
import pickle
import shlex
import sys
import time
from functools import partial
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import torch

from specvit.assess import compare_with_limit, evaluate
from specvit.assess.report import (
    draw_summary,
    magnitude_cells,
    overall_cells,
    save_figure,
    software_versions,
    write_tables,
)
from specvit.predictors import LightGBMEstimator, RidgeEstimator, TemplateFit
from specvit.survey import Survey
from specvit.weights import load_weights

PEERS = ["lightgbm", "lightgbm-pca", "ridge", "chi2"]
TRAINING_SEED = 101  # of the survey that the peers learn from; the networks were trained with seed 1
TEST_SEED = 102
#: Curves of the main figure: of two ways of LightGBM the better one.
SHOWN = ("ViT paper", "χ² fit", "LightGBM (components)", "Ridge", "Bayes limit")
FOUR_DECIMALS = ("R²", "Bayes limit", "excess", "error", "paired excess", "paired error")


mpl.use("agg")  # and if matplotlib is missing, this fails now and not after the work


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--work", type=Path, default=Path("build/main_figure"), help="folder of what is kept")
    parser.add_argument("--n-train", type=int, default=60_000, help="a tenth stops LightGBM")
    parser.add_argument("--n-test", type=int, default=4000)
    parser.add_argument("--limit-stars", type=int, help="stars of the limits, a magnitude; default: all")
    parser.add_argument("--magnitudes", type=float, nargs="+", default=[20, 20.5, 21, 21.5, 22, 22.5])
    parser.add_argument("--networks", nargs="*", default=["paper", "any"], help="bundled or files")
    parser.add_argument(
        "--peers", nargs="*", default=PEERS, choices=PEERS, help="lightgbm sees pixels, -pca their components"
    )
    parser.add_argument("--n-trees", type=int, default=2000, help="the most of LightGBM")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="0: all")
    parser.add_argument("--batch-size", type=int, help="of posteriors and chi2 fits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--revision", default="unknown", help="git revision, for the record")
    parser.add_argument("--limits-check", action="store_true")
    parser.add_argument("--redraw", action="store_true", help="figures alone, from OUT/evaluation.csv")
    parser.add_argument("--stars", type=int, default=20_000, help="of --limits-check, in all")
    arguments = parser.parse_args()
    if arguments.limit_stars is None:  # of fewer stars than the predictors it would not compare with them
        arguments.limit_stars = arguments.n_test
    if arguments.batch_size is None:
        arguments.batch_size = 512 if arguments.device.startswith("cuda") else 64
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    return arguments


class Steps:
    """Results of the steps of a run, kept on disk under a name and what they depend on."""

    def __init__(self, folder):
        self.folder, self.minutes = folder, {}
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, name, key, work):
        path = self.folder / f"{name}.pickle"
        if path.exists():
            kept, result, minutes = pickle.loads(path.read_bytes())
            if kept == key:
                print(f"{name}: kept", flush=True)
                self.minutes[name] = minutes
                return result
        start = time.monotonic()
        result = work()
        self.minutes[name] = round((time.monotonic() - start) / 60, 2)
        print(f"{name}: {self.minutes[name]} min", flush=True)
        unfinished = path.with_suffix(".partial")
        unfinished.write_bytes(pickle.dumps((key, result, self.minutes[name])))
        unfinished.replace(path)
        return result


def make_predictors(arguments, steps):
    """Predictors by the names that they have in the figure, and what the record says of each."""
    survey = Survey("paper", n=arguments.n_train, seed=TRAINING_SEED)
    found, record = {}, {}
    for name in arguments.networks:
        regressor, _, about = load_weights(name)
        shown = f"ViT {Path(name).stem if Path(name).suffix else name}"
        found[shown] = regressor.to(arguments.device)
        record[shown] = {key: about.get(key) for key in ("command", "revision", "spectra_seen")}
    key = (arguments.revision, arguments.n_train, TRAINING_SEED)
    components = {"encoding": "weighted", "n_components": 64, "feature_fraction": 0.3}
    for peer, shown, changes in (
        ("lightgbm", "LightGBM", {}),
        ("lightgbm-pca", "LightGBM (components)", components),
    ):
        if peer in arguments.peers:
            trees = LightGBMEstimator(n_trees=arguments.n_trees, n_jobs=arguments.threads, **changes)
            settings = {k: v for k, v in trees.get_params().items() if k != "n_jobs"}
            found[shown] = steps(peer, (*key, str(settings)), partial(trees.fit, survey))
            record[shown] = settings | {"trees": found[shown].n_trees_}
    if "ridge" in arguments.peers:
        ridge = RidgeEstimator(labels=("logg",), device=arguments.device)
        settings = {k: v for k, v in ridge.get_params().items() if k != "device"}
        found["Ridge"] = steps("ridge", (*key, str(settings)), lambda: ridge.fit(survey))
        record["Ridge"] = settings
    if "chi2" in arguments.peers:
        fit = TemplateFit(labels=("logg",), device=arguments.device, batch_size=arguments.batch_size)
        found["χ² fit"] = fit.fit(Survey("paper"))
        record["χ² fit"] = {key: getattr(fit, key) for key in ("n_templates", "n_starts", "continuum")}
    return found, record


def measure(arguments, steps, name, predictors, n, limit_stars, magnitude, seed):
    """Table and predictions of one evaluation: at a magnitude, or with the survey's own (None)."""

    def work():
        return evaluate(
            predictors,
            Survey("paper", seed=TEST_SEED),
            n=n,
            magnitudes=None if magnitude is None else [magnitude],
            limits={"batch_size": arguments.batch_size},
            limit_stars=limit_stars,
            seed=seed,
            device=arguments.device,
            return_predictions=True,
        )

    key = (
        arguments.revision,
        sorted(predictors),
        arguments.n_train,
        arguments.n_trees,
        n,
        limit_stars,
        magnitude,
        seed,
    )
    table, predictions = steps(name, key, work)
    rows = table[table["by"] == ("overall" if magnitude is None else "magnitude")]
    for _, row in rows.iterrows():
        print(f"  {row['predictor']:24} R2 {row['r2']:.4f} ± {row['r2_err']:.4f}  unusable {row['unusable']}")
    return table, predictions


def compare(table, predictions, magnitude):
    """Each predictor against the Bayes limit of the same stars, in two ways; one dict a predictor."""
    table = table[table["by"] == "magnitude"]
    unusable = table.set_index("predictor")["unusable"]
    alone, paired = (compare_with_limit(table, predictions=p) for p in (None, predictions))
    return [
        {
            "magnitude": magnitude,
            "predictor": row["predictor"],
            "stars": row["n"],
            "unusable": unusable[row["predictor"]],
            "R²": row["r2"],
            "Bayes limit": row["limit"],
            "excess": row["excess"],
            "error": row["error"],
            "paired excess": sharper["excess"],
            "paired error": sharper["error"],
            "within the limit": "yes" if row["excess"] <= 2 * row["error"] else "NO",
        }
        for (_, row), (_, sharper) in zip(alone.iterrows(), paired.iterrows(), strict=True)
    ]


def write_cells(path, cells):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(cells)


def write_record(path, arguments, steps, predictors, start):
    cuda = arguments.device.startswith("cuda")
    record = {
        "command": "python scripts/make_main_figure.py "
        + shlex.join(Path(word).name if word.startswith("/") else word for word in sys.argv[1:]),
        "settings": {key: value for key, value in vars(arguments).items() if key not in ("out", "work")},
        "seeds": {"training": TRAINING_SEED, "test": TEST_SEED, "evaluation": arguments.seed},
        "device": torch.cuda.get_device_name() if cuda else f"CPU, {os.cpu_count()} cores",
        "minutes": steps.minutes | {"this run": round((time.monotonic() - start) / 60, 2)},
        "versions": software_versions(),
        "predictors": predictors,
    }
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")


def main_figure(arguments, steps, predictors):
    """Figure and tables: single magnitudes, and the survey's own distribution as "overall"."""
    parts = [
        measure(
            arguments,
            steps,
            f"at_{magnitude:g}",
            predictors,
            arguments.n_test,
            arguments.limit_stars,
            magnitude,
            arguments.seed,
        )[0].query("by == 'magnitude'")
        for magnitude in arguments.magnitudes
    ]
    whole, _ = measure(
        arguments, steps, "whole", predictors, arguments.n_test, arguments.limit_stars, None, arguments.seed
    )
    table = pd.concat([whole.query("by == 'overall'"), *parts], ignore_index=True)
    order = list(dict.fromkeys(table["predictor"]))
    table = table.sort_values("predictor", key=lambda names: names.map(order.index), kind="stable")
    table.attrs = whole.attrs
    write_tables(arguments.out, table, "evaluation")
    write_cells(arguments.out / "r2.csv", magnitude_cells(table))
    write_cells(arguments.out / "overall.csv", overall_cells(table))
    draw(table, arguments.out)


def draw(table, out):
    """The main figure, of five curves, and one with all methods and bounds."""
    save_figure(draw_summary(table[table["predictor"].isin(SHOWN)]), out / "main_figure", ("svg", "png"))
    save_figure(draw_summary(table), out / "all_methods", ("svg",))


def limits_check(arguments, steps, predictors):
    """Table of verdicts; 1 if any is "NO"."""
    n = -(-arguments.stars // len(arguments.magnitudes))
    rows = []
    for k, magnitude in enumerate(arguments.magnitudes):
        table, predictions = measure(
            arguments, steps, f"check_{magnitude:g}", predictors, n, n, magnitude, arguments.seed + 1 + k
        )
        rows += compare(table, predictions, magnitude)
    cells = [list(rows[0])]
    cells += [[f"{x:.4f}" if key in FOUR_DECIMALS else str(x) for key, x in row.items()] for row in rows]
    write_cells(arguments.out / "limits_check.csv", cells)
    for row in cells:
        print("  ".join(f"{cell:>14}" for cell in row))
    broken = sum(row["within the limit"] == "NO" for row in rows)
    print(f"{n * len(arguments.magnitudes)} stars, {len(rows)} comparisons, {broken} beyond the limit")
    return int(broken > 0)


def main():
    start, arguments = time.monotonic(), parse()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.redraw:
        draw(pd.read_csv(arguments.out / "evaluation.csv"), arguments.out)
        return 0
    steps = Steps(arguments.work)
    predictors, about = make_predictors(arguments, steps)
    status = (limits_check if arguments.limits_check else main_figure)(arguments, steps, predictors)
    name = "limits_record.json" if arguments.limits_check else "record.json"
    write_record(arguments.out / name, arguments, steps, about, start)
    return status


if __name__ == "__main__":
    sys.exit(main())
