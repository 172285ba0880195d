"""`specvit evaluate`, from weights to a report."""

import re
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest

from specvit.cli import evaluate as command
from specvit.dataset import write_dataset
from specvit.labels import LABELS
from specvit.network import LabelRegressor, ViTConfig
from specvit.survey import Survey
from specvit.weights import save_weights

mpl.use("agg")


@pytest.fixture(scope="module")
def survey():
    return Survey("paper", seed=5)


@pytest.fixture(scope="module")
def weights(tmp_path_factory, survey):
    """An untrained network in a file."""
    config = ViTConfig(n_pixels=4096, width=16, depth=1, heads=2, patch_size=64)
    regressor = LabelRegressor.build(config, LABELS)
    regressor.fit_label_scaling(survey.draw(200).labels)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(path, regressor, grid=survey.grid, record={"command": "by a test"})
    return path


@pytest.fixture
def run():
    """Run `specvit evaluate` with arguments and return its exit status."""
    import argparse

    def run(*words):
        parser = argparse.ArgumentParser()
        command.add_parser(parser.add_subparsers())
        args = parser.parse_args(["evaluate", *map(str, words)])
        return args.run(args)

    return run


@pytest.fixture
def figures_in_short(monkeypatch):
    """Files of figures are empty: what is in them other tests see."""

    def save_figure(figure, path, formats):
        paths = [Path(f"{path}.{suffix}") for suffix in formats]
        for one in paths:
            one.touch()
        return paths

    monkeypatch.setattr("specvit.assess.report.save_figure", save_figure)


def test_evaluate_a_survey(run, weights, tmp_path, capsys):
    out = tmp_path / "report"
    options = ("--n", 40, "--no-limits", "--baselines", "lightgbm", "--train-size", 100, "--out", out)
    assert run("--weights", weights, *options) == 0
    printed, told = capsys.readouterr()
    assert printed.strip() == str(out / "report.md")
    assert "about" not in told and "\r" not in told  # a trial would take longer; there is no terminal
    table = pd.read_csv(out / "table.csv")
    assert set(table["predictor"]) == {"ViT small", "LightGBM"} and set(table["label"]) == {"logg"}
    text = (out / "report.md").read_text("utf-8")
    assert "* **ViT small**: `by a test`" in text and "Survey('paper', n=100, seed=1" in text
    assert f"`specvit evaluate --weights {weights} --out {out} --survey paper --n 40" in text
    with pytest.raises(FileExistsError, match="--overwrite replaces it"):
        run("--weights", weights, *options)


@pytest.mark.usefixtures("figures_in_short")
def test_evaluate_a_data_set(run, weights, survey, tmp_path, capsys):
    data = tmp_path / "data"
    write_dataset(survey, data, 60, progress=False)
    out = tmp_path / "report"
    labels = ("--labels", "logg", "teff")
    assert run("--weights", weights, "--dataset", data, "--n", 4000, *labels, "--out", out) == 0
    table = pd.read_csv(out / "table.csv")
    assert set(table["label"]) == {"logg", "teff"} and set(table["kind"]) == {"predictor"}
    assert table.loc[table["by"] == "overall", "n"].tolist() == [60, 60]
    text = (out / "report.md").read_text("utf-8")
    assert "There are none: the limits of a data set are not known" in text
    assert "--survey" not in text and f"--dataset {data}" in text
    for words, message in (
        (("--baselines", "ridge"), "--baselines ridge with --dataset needs --train-dataset"),
        (("--weights",), "nothing to measure"),
    ):
        with pytest.raises(ValueError, match=message):
            run("--dataset", data, "--out", tmp_path / "other", *words)
    with pytest.raises(ValueError, match="--train-dataset goes with --dataset"):
        run("--train-dataset", data, "--out", tmp_path / "other")


@pytest.mark.parametrize(
    ("audit", "message"),
    [
        ((), "about 2 min: predictions 40 s, limits 80 s\n"),
        (
            ("--audit",),
            "about 3 min: predictions 40 s, limits 80 s, audits of predictors 60 s (the audit",
        ),
    ],
)
def test_how_long_it_will_take_is_said_first(run, weights, tmp_path, monkeypatch, capsys, audit, message):
    class Enough(Exception):
        pass

    def evaluate(*args, **options):
        raise Enough

    monkeypatch.setattr("specvit.assess.evaluate", evaluate)
    monkeypatch.setattr(
        "specvit.assess.duration.expected_seconds",
        lambda *args, **options: {"predictions": 40.0, "limits": 80.0},
    )
    with pytest.raises(Enough):
        run("--weights", weights, "--n", 4000, "--audit-size", 3000, "--out", tmp_path, *audit)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(4.44, "4.4 s"), (99.4, "99 s"), (99.6, "1.7 min"), (5900, "98 min"), (9000, "2.5 h")],
)
def test_times_in_words(seconds, words):
    assert command._in_words(seconds) == words


@pytest.mark.usefixtures("figures_in_short")
def test_audit(run, weights, tmp_path, capsys):
    words = ("--n", 40, "--no-limits", "--audit", "--audit-size", 100, "--out", tmp_path)
    status = run("--weights", weights, *words)
    text = (tmp_path / "report.md").read_text("utf-8")
    verdicts = re.findall(r"^### (.+?)(?:: (passed|\*\*FAILED\*\*))?$", text, re.M)
    names = ["Leakage of logg", "logg read from the errors by ViT small", "Calibration"]
    assert [name for name, _ in verdicts] == names
    assert status == int("**FAILED**" in [verdict for _, verdict in verdicts])
