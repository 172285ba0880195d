"""What each of the processes does that `test_distributed.py` starts with torchrun.

usage: two_processes.py FOLDER; every process leaves its results in FOLDER/<rank>.pt. There is a data set,
FOLDER/set.h5.
"""

import os
import sys
from pathlib import Path

import torch

from specvit.network import LabelRegressor, TrainingConfig, ViTConfig, train
from specvit.network.feed import ShuffledArrays
from specvit.network.processes import leave

N_PIXELS, N_SPECTRA, BATCH = 16, 61, 8
VALIDATION_SIZES = (20, 7, 11)  # an odd number of batches


def spectra(n, seed):
    """Flux, inverse variance and labels; some labels unknown, and one spectrum without information."""
    generator = torch.Generator().manual_seed(seed)
    flux = torch.randn(n, N_PIXELS, generator=generator)
    labels = 10 + 2 * flux[:, :2] + flux[:, 2:4]
    labels[::5, 0] = torch.nan
    ivar = torch.ones_like(flux)
    ivar[3] = 0
    return flux, ivar, labels


def regressor(seed=0, dropout=0.0):
    torch.manual_seed(seed)
    shape = {"patch_size": 8, "width": 16, "depth": 1, "heads": 2, "mlp": 32}
    config = ViTConfig.reference(n_pixels=N_PIXELS, dropout=dropout, attention_dropout=dropout, **shape)
    built = LabelRegressor.build(config, ("a", "b"), encoding="none")
    built.set_label_scaling([10.0, 10.0], [3.0, 3.0])
    return built.double()  # so that sums in another order differ by little


class Feed(ShuffledArrays):
    """Training spectra; keeps which were read, and can fail at a step."""

    fails_at = None

    @classmethod
    def of(cls, n=N_SPECTRA, batch_size=BATCH):
        feed = cls(*spectra(n, seed=1), torch.arange(n), batch_size=batch_size, seed=4)
        feed.read = []
        return feed

    def part(self, rank, world_size):
        part = super().part(rank, world_size)
        part.read, part.fails_at = self.read, self.fails_at
        return part

    def __iter__(self):
        for *batch, rows in super().__iter__():
            if self.step == self.fails_at:
                raise KeyError("power cut")
            self.read.append(rows.tolist())
            yield tuple(batch)


def run(model, feed, *, devices, steps, **kwargs):
    """A short run; returns its history."""
    names = ("checkpoint_dir", "resume", "max_minutes")
    options = {name: kwargs.pop(name) for name in names if name in kwargs}
    config = TrainingConfig(
        max_steps=steps,
        learning_rate=5e-3,
        warmup_steps=2,
        log_every_steps=4,
        ema_decay=0.9,
        **{"val_every_steps": 4} | kwargs,
    )
    validation = [spectra(n, seed=n) for n in VALIDATION_SIZES]
    return train(model, feed, config, val_batches=validation, devices=devices, progress=False, **options)


def refusal(function):
    try:
        function()
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def fit_from_disk(path, devices):
    """A fit of the estimator to a data set: what was read of it, and what came out."""
    from specvit import LoggEstimator
    from specvit.dataset import DatasetStream, SpectrumDataset

    read, original = [], DatasetStream.__iter__

    def recording(stream):
        for batch in original(stream):
            read.append(batch[2][:, 0].tolist())  # Teff, different for every star
            yield batch

    DatasetStream.__iter__ = recording
    shape = {"patch_size": 512, "width": 8, "depth": 1, "heads": 1, "weights": None, "device": "cpu"}
    options = {"batch_size": 16, "epochs": 2, "validation_fraction": 0.1}
    dataset = SpectrumDataset(path)
    estimator = LoggEstimator(devices=devices, random_state=3, **shape, **options).fit(dataset)
    return {
        "read": read,
        "history": estimator.history_,
        "state": estimator.regressor_.state_dict(),
        "seeds": refusal(lambda: LoggEstimator(devices=devices, **shape).fit(dataset)),
    }


def main(folder):
    torch.set_num_threads(1)
    rank, devices = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    results = {}

    feed, model = Feed.of(), regressor(seed=rank)  # the others take the weights of the first
    results["history"] = run(model, feed, devices=devices, steps=2 * 4)
    results["state"], results["read"] = model.state_dict(), feed.read

    model = regressor(dropout=0.3)
    results["whole_history"] = run(model, Feed.of(), devices=devices, steps=12)
    results["whole"] = model.state_dict()
    feed = Feed.of()
    feed.fails_at = 8  # the batch of step 8 is fetched ahead of step 7
    try:
        run(regressor(dropout=0.3), feed, devices=devices, steps=12, checkpoint_dir=folder / "run")
    except KeyError as error:
        results["interrupted"] = str(error)
    model = regressor(dropout=0.3)
    options = {"devices": devices, "checkpoint_dir": folder / "run", "resume": "last"}
    results["resumed_history"] = run(model, Feed.of(), steps=12, **options)
    results["resumed"] = model.state_dict()
    model = regressor(seed=5, dropout=0.3)
    results["finished_history"] = run(model, Feed.of(), steps=12, **options)  # nothing left to do
    results["finished"] = model.state_dict()

    results["stopped"] = run(
        regressor(), Feed.of(), devices=devices, steps=10**6, val_every_steps=10**5, max_minutes=0.01
    )
    results["dataset"] = fit_from_disk(folder / "set.h5", devices)
    results["refused"] = [
        refusal(lambda: run(regressor(), [spectra(8, 1)], devices=devices, steps=3)),
        refusal(lambda: run(regressor(), Feed.of(), devices=1, steps=3)),
    ]
    leave()
    torch.save(results, folder / f"{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
