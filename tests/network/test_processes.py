"""Training with two processes on the CPU, against one process that sees the same spectra."""

import importlib.util
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from specvit.dataset import SpectrumDataset, write_dataset
from specvit.network.feed import Reiterable, ShuffledArrays, share
from specvit.network.processes import process_rank
from specvit.survey import Survey

SCRIPT = Path(__file__).with_name("two_processes.py")
spec = importlib.util.spec_from_file_location("two_processes", SCRIPT)
two_processes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(two_processes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where two processes have left their results."""
    folder = tmp_path_factory.mktemp("two")
    write_dataset(Survey("paper", seed=1), folder / "set.h5", 111, progress=False)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", SCRIPT, folder]
    result = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def ranks(folder):
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.fixture(scope="module")
def alone():
    """One process with batches of twice the size: state, history, rows read."""
    feed, model = two_processes.Feed.of(batch_size=2 * two_processes.BATCH), two_processes.regressor()
    history = two_processes.run(model, feed, devices=1, steps=8)
    return model.state_dict(), history, feed.read


def same(a, b, **tolerance):
    for name in a | b:
        torch.testing.assert_close(a[name], b[name], msg=name, **(tolerance or {"rtol": 0, "atol": 0}))


def test_an_epoch_covers_every_spectrum_once(ranks):
    first, second = (result["read"] for result in ranks)
    assert len(first) == len(second) == 8  # steps: equally many for both
    for epoch in (slice(0, 4), slice(4, 8)):
        rows = list(itertools.chain(*first[epoch], *second[epoch]))
        assert sorted(rows) == list(range(two_processes.N_SPECTRA))
    assert first[:4] != first[4:]


def test_weights_are_those_of_one_process_with_the_joint_batch(ranks, alone):
    """Although labels are missing unevenly, and the average of the weights is what is left."""
    state, _, read = alone
    for step in range(8):
        assert read[step] == ranks[0]["read"][step] + ranks[1]["read"][step]
    same(ranks[0]["state"], state, rtol=1e-7, atol=1e-9)
    same(ranks[1]["state"], ranks[0]["state"])


def test_history_is_that_of_one_process(ranks, alone):
    _, expected, _ = alone
    timing = {"time", "spectra_per_second"}
    for result in ranks:
        history = result["history"]
        assert history.keys() == expected.keys()
        for name in history.keys() - timing:
            assert history[name] == pytest.approx(expected[name], rel=1e-8), name
    assert expected["val_step"] == [4, 8]


def test_interrupted_and_resumed_equals_uninterrupted(ranks):
    for result in ranks:
        assert "power cut" in result["interrupted"]
        same(result["resumed"], result["whole"])
        same(result["finished"], result["whole"])
        assert result["resumed_history"]["val_loss"] == result["whole_history"]["val_loss"]
        assert result["resumed_history"]["val_step"] == [4, 8, 12]
        assert result["finished_history"]["step"][-1] == 12
    same(ranks[0]["whole"], ranks[1]["whole"])


def test_a_finished_run_of_two_is_read_by_one_and_an_unfinished_one_is_not(folder, ranks):
    options = {"devices": 1, "checkpoint_dir": folder / "run", "resume": "last"}
    model = two_processes.regressor(seed=9, dropout=0.3)
    two_processes.run(model, two_processes.Feed.of(), steps=12, **options)
    same(model.state_dict(), ranks[0]["whole"])
    with pytest.raises(ValueError, match="devices must be 2, as in the run that the checkpoint to resume"):
        two_processes.run(model, two_processes.Feed.of(), steps=13, **options)


def test_the_time_limit_stops_both_at_the_same_step(ranks):
    steps = [result["stopped"]["step"][-1] for result in ranks]
    assert steps[0] == steps[1] < 10**6
    assert ranks[0]["stopped"]["val_step"] == ranks[1]["stopped"]["val_step"] == [steps[0]]


def test_an_estimator_fits_a_data_set_with_each_spectrum_once_an_epoch(folder, ranks):
    first, second = (result["dataset"] for result in ranks)
    stars = set(SpectrumDataset(folder / "set.h5").read_labels()[:, 0].tolist())
    steps = 4  # of 100 spectra, 11 being held out, in batches of 16 of each process
    trained = []
    for epoch in (slice(0, steps), slice(steps, None)):
        seen = list(itertools.chain(*first["read"][epoch], *second["read"][epoch]))
        assert len(seen) == len(set(seen)) == 100 and set(seen) < stars
        trained.append(set(seen))
    assert trained[0] == trained[1]
    assert len(first["read"]) == len(second["read"]) == 2 * steps
    same(first["state"], second["state"])
    assert first["history"]["val_loss"] == second["history"]["val_loss"]
    assert "random_state must be an integer where devices > 1" in first["seeds"]


def test_what_cannot_be_shared_is_refused(ranks):
    for result in ranks:
        assert "train_batches must have a method part(rank, world_size)" in result["refused"][0]
        assert "must be the number of processes that were started, 2, got 1" in result["refused"][1]


def test_devices_need_their_processes():
    with pytest.raises(ValueError, match=r"torchrun --standalone --nproc-per-node=4 SCRIPT"):
        process_rank(4)
    with pytest.raises(ValueError, match="devices must be an integer >= 1, got 0"):
        process_rank(0)
    assert process_rank(1) == 0


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize("batch_size", [2, 5, 16])
@pytest.mark.parametrize("n", [4, 5, 33, 64, 65])
def test_parts_of_arrays_are_disjoint_and_whole(n, batch_size, world_size):
    values = torch.arange(n)
    feed = ShuffledArrays(values, batch_size=batch_size, seed=1)
    parts = [share(feed, rank, world_size) for rank in range(world_size)]
    steps = len(parts[0])
    epochs = [[rows for (rows,) in itertools.islice(part, 2 * steps)] for part in parts]
    assert all(1 <= len(rows) <= batch_size for part in epochs for rows in part)
    for epoch in (slice(0, steps), slice(steps, None)):
        together = torch.cat([rows for part in epochs for rows in part[epoch]])
        assert torch.equal(together.sort().values, values)
    # a part is taken up again at any step
    parts[-1].set_step(steps)
    assert torch.equal(next(iter(parts[-1]))[0], epochs[-1][steps])


def test_too_few_spectra_for_the_processes():
    feed = ShuffledArrays(torch.arange(5), batch_size=1, seed=1)
    assert len(feed) == 5
    with pytest.raises(ValueError, match="5 spectra in 3 batches cannot be shared by 2 processes"):
        feed.part(0, 2)
    with pytest.raises(ValueError, match="3 spectra in 1 batches cannot be shared by 4 processes"):
        ShuffledArrays(torch.arange(3), batch_size=8, seed=1).part(0, 4)


def test_validation_is_dealt_out():
    assert [list(Reiterable([1, 2, 3], rank, 2)) for rank in range(2)] == [[1, 3], [2]]
    assert list(Reiterable([1, 2, 3])) == [1, 2, 3]
