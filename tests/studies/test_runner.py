"""The runner: its order, its plan, what it keeps, and that an interrupted study gives the same table."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from studies.__main__ import main
from studies.catalogue import STUDIES
from studies.configuration import Configuration, seeds
from studies.ledger import STORE, Ledger, read_rows, write_rows
from studies.runner import collect, ordered, plan_lines, run
from studies.study import Picture, Study
from studies.training import train_network
from studies.worker import affordable

TINY = (("depth", 1), ("heads", 2), ("mlp", 16), ("width", 16))


def tiny(**options):
    values = {"changes": TINY, "spectra": 64, "steps": 6, "batch_size": 16, "n_test": 40}
    return Configuration(**values | options)


def study(name, variants):
    return Study(name, name, "?", variants, Picture("name"))


def row_of(configuration, **values):
    return {"key": configuration.key, "configuration": configuration.to_dict(), "results": [], **values}


def test_keys_tell_configurations_apart_and_survive_json():
    one = Configuration(changes=(("patch_size", 16), ("depth", 2)), noise_level=(0.0, 2.0))
    other = Configuration(changes=(("depth", 2), ("patch_size", 16)), noise_level=(0.0, 2.0))
    assert one == other and one.key == other.key
    again = Configuration.from_dict(json.loads(json.dumps(one.to_dict())))
    assert again == one and again.key == one.key
    configurations = [c for s in STUDIES.values() for c in s.configurations]
    assert len({c.key for c in configurations}) == len(set(configurations))


def test_a_key_says_only_what_differs_from_the_defaults():
    # so that a field that is added later does not orphan rows that are on disk
    assert Configuration(steps=10).to_dict() == {"method": "vit", "steps": 10}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "vitt"}, "method must be"),
        ({"changes": (("patch", 3),)}, "patch"),
        ({"steps": 0}, "steps must be"),
        ({"spectra": None, "noise_level": 0.5}, "spectra must be a number"),
        ({"spectra": None, "method": "ridge"}, "spectra must be a number"),
    ],
)
def test_configurations_are_checked(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Configuration(**options)


def test_first_seeds_come_first_then_studies_then_long_ones():
    short, long = tiny(), tiny(steps=90_000)
    a = study("a", {"short": seeds([short], 2), "long": seeds([long], 2)})
    b = study("b", {"shared": seeds([short], 2), "own": seeds([tiny(steps=95_000)], 1)})
    order = ordered([a, b])
    assert [(c.seed, c.steps) for c in order] == [(0, 90_000), (0, 6), (0, 95_000), (1, 90_000), (1, 6)]


def test_the_plan_counts_a_shared_configuration_once_and_finished_ones_not_at_all():
    one, other = tiny(), tiny(steps=60_000)
    a, b = study("a", {"x": [one, other]}), study("b", {"y": [one]})
    lines = plan_lines([a, b], devices=2)
    assert float(lines[1].split()[3]) == pytest.approx(one.minutes + other.minutes, abs=0.06)
    assert lines[2].split()[2] == "0"
    assert plan_lines([a, b], {one.key})[1].split()[2] == "1"


def test_long_networks_may_begin_without_the_time_to_end_and_others_not():
    long, short = tiny(steps=90_000), tiny()
    fit = Configuration(method="lightgbm", spectra=10**6)
    assert affordable(long, 100) and not affordable(long, 10)
    assert affordable(short, 100 * short.minutes) and not affordable(short, 30 * short.minutes)
    assert affordable(fit, math.inf) and not affordable(fit, 100)


def test_a_ledger_gives_a_configuration_to_one_worker(tmp_path):
    first, second = Ledger(tmp_path), Ledger(tmp_path)
    assert first.claim("a") and not second.claim("a")
    first.release("a")
    assert second.claim("a")
    second.fail("a", "why")
    assert first.failed("a")
    first.release_all()
    assert first.claim("a") and not first.failed("a")


def test_a_finished_row_is_kept_whole_and_its_checkpoint_is_not(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.checkpoints("a").mkdir()
    (ledger.checkpoints("a") / "last.ckpt").write_bytes(b"x")
    ledger.finish({"key": "a", "results": []})
    assert ledger.finished("a") and ledger.rows() == {"a": {"key": "a", "results": []}}
    assert not ledger.checkpoints("a").exists()


def test_a_training_that_once_shared_its_device_is_known_to_have_done_so(tmp_path):
    Ledger(tmp_path).most_sharing("one", 3)
    ledger = Ledger(tmp_path)  # of a later call, which goes on alone
    assert ledger.most_sharing("one", 1) == 3 and ledger.most_sharing("other", 1) == 1
    ledger.finish({"key": "one"})
    assert ledger.most_sharing("one", 1) == 1


def test_a_row_that_is_forgotten_is_run_again(tmp_path):
    ledger = Ledger(tmp_path)
    for key in "ab":
        ledger.finish({"key": key})
    ledger.forget("a")
    ledger.forget("c")  # of which there is none
    assert set(ledger.rows()) == {"b"}


def test_rows_of_the_store_are_of_the_configurations_that_they_describe():
    rows = read_rows(STORE)
    assert len(rows) > 100
    for key, row in rows.items():
        assert Configuration.from_dict(row["configuration"]).key == key == row["key"]
        assert {"command", "revision", "device", "minutes"} <= set(row)


def test_finished_rows_are_those_of_the_store_unless_asked_for_again(tmp_path, capsys):
    left = []
    for more in ([], ["--again"]):
        main(["losses", "--plan", "--seeds", "1", "--out", str(tmp_path), *more])
        left.append(int(capsys.readouterr().out.splitlines()[1].split()[2]))
    assert left == [0, 8]


def test_rows_of_earlier_calls_are_kept_beside_new_ones(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, {"old": {"key": "old"}})
    ledger = Ledger(tmp_path / "work")
    ledger.finish({"key": "new"})
    collect(ledger, path)
    assert set(read_rows(path)) == {"old", "new"}


def test_known_rows_are_not_run_again(tmp_path):
    done = tiny()
    other = tiny(steps=7)  # is known, but not asked for
    write_rows(tmp_path / "known.jsonl", {one.key: row_of(one) for one in (done, other)})
    begun = time.monotonic()
    assert run([done], tmp_path / "work", known=[tmp_path / "known.jsonl"], rows=tmp_path / "rows.jsonl")
    assert time.monotonic() - begun < 5  # no worker was started
    assert set(read_rows(tmp_path / "rows.jsonl")) == {done.key}


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_names_what_its_table_and_figure_show(name):
    study = STUDIES[name]
    columns = study.configurations[0].columns()
    known = {"name", "condition", "first_gradient_norm", "parameters", "spectra_seen", *columns}
    known |= {column for c in study.configurations for column in c.columns()}
    assert {study.picture.x, study.picture.series or "name", *study.columns} <= known
    variants = set(study.variants) | {"—"}
    assert all(one["name"] in variants for one in study.reference)
    assert all(study.names_of(one.key) for one in study.configurations)


def command(folder):
    chosen = ["losses", "--tiny", "--seeds", "1", "--devices", "2", "--only", "l1", "mse, standard"]
    return [sys.executable, "-m", "studies", *chosen, "--out", folder, "--rows", folder / "rows.jsonl"]


@pytest.fixture
def environment():
    root = Path(__file__).parents[2]
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *sys.path]), "OMP_NUM_THREADS": "1"}


def figures(path):
    """What rows say, but for how long it took and when the training loss was recorded."""
    names = ("test", "condition", "label", "n", "r2", "mae", "coverage68", "r2_err")
    return {
        key: [
            ["first", "gradient", "norm", row["first_gradient_norm"]],
            *([one.get(name) for name in names] for one in row["results"]),
        ]
        for key, row in read_rows(path).items()
    }


@pytest.mark.slow
def test_a_study_that_was_killed_and_resumed_gives_the_same_table(tmp_path, environment):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(command(whole), env=environment, check=True)
    expected = figures(whole / "rows.jsonl")
    assert len(expected) == 3
    process = subprocess.Popen(command(cut), env=environment)
    limit = time.monotonic() + 300
    while not list((cut / "rows").glob("*.json")) and time.monotonic() < limit:
        time.sleep(0.05)  # killed as soon as a row is there
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    assert len(read_rows(cut / "rows.jsonl")) < 3 or process.returncode == 0
    subprocess.run(command(cut), env=environment, check=True)
    assert figures(cut / "rows.jsonl") == expected


@pytest.mark.slow
def test_a_training_that_time_stopped_goes_on_from_its_checkpoint(tmp_path):
    options = {"device": "cpu", "checkpoint_all": True}
    configuration = tiny(steps=20, tests=("paper",))
    assert run([configuration], tmp_path / "whole", rows=tmp_path / "whole.jsonl", **options)
    expected = figures(tmp_path / "whole.jsonl")
    checkpoints = Ledger(tmp_path / "cut").checkpoints(configuration.key)
    where = {"device": torch.device("cpu"), "checkpoints": checkpoints}
    assert train_network(configuration, **where, deadline=time.time()) is None
    step = torch.load(checkpoints / "last.ckpt", weights_only=False)["global_step"]
    assert 0 < step < 20
    assert run([configuration], tmp_path / "cut", rows=tmp_path / "cut.jsonl", **options)
    (found,), (wanted,) = figures(tmp_path / "cut.jsonl").values(), expected.values()
    for one, other in zip(found, wanted, strict=True):  # to rounding, which depends on threads
        assert one[:3] == other[:3] and one[3:] == pytest.approx(other[3:], abs=1e-4)
