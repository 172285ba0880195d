"""A worker: a process with a device of its own, which takes configurations from the list until time is up.

The runner starts it; ``python -m studies.worker SETTINGS`` with a file of JSON is how.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path

import torch

from specvit import __version__
from studies.baselines import fit_baseline
from studies.configuration import Configuration
from studies.energy import gpu_joules
from studies.fewstars import fit_few
from studies.ledger import Ledger
from studies.limit import fit_limit
from studies.realstars import fit_real
from studies.training import train_network

__all__ = ["affordable", "forget_compiled", "work"]

#: Seconds kept for testing and writing when a training is stopped.
_RESERVE = 15.0
#: Configurations expected to take less than this are not begun without the time to finish them; longer ones
#: are, since they go on from a checkpoint.
_SHORT_MINUTES = 1.0
#: With less than this a long one is not begun: it would hardly be compiled.
_FEWEST_SECONDS = 75.0


def affordable(configuration, seconds):
    """Whether a configuration may begin with so many seconds left."""
    if configuration.is_network and configuration.minutes >= _SHORT_MINUTES:
        return seconds > _FEWEST_SECONDS
    return seconds > 75 * configuration.minutes


def forget_compiled():
    """Drop compiled networks, of which torch keeps a limited number."""
    from torch import _dynamo

    _dynamo.reset()


def _machine(device):
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def _row(configuration, settings, device, ledger):
    """The row of a configuration, or None if time was up before it was done."""
    whole = not ledger.checkpoints(configuration.key).exists()  # else part of the energy was used before
    sharing = ledger.most_sharing(configuration.key, settings["sharing"])
    own = device.type == "cuda" and configuration.lane == "device" and sharing == 1
    energy = gpu_joules() if own and whole else None
    if configuration.target == "stelib":
        results = fit_real(configuration, device=device, threads=settings["threads"], data=settings["data"])
    elif configuration.target is not None:
        results = fit_few(configuration, device=device, threads=settings["threads"])
    elif configuration.is_network:
        results = train_network(
            configuration,
            device=device,
            checkpoints=ledger.checkpoints(configuration.key)
            if configuration.minutes >= _SHORT_MINUTES or settings["checkpoint_all"]
            else None,
            deadline=None if settings["deadline"] is None else settings["deadline"] - _RESERVE,
            compiled=settings["compile"] and device.type == "cuda",
        )
    elif configuration.method == "posterior":
        results = fit_limit(configuration, device=device)
    else:
        results = fit_baseline(configuration, device=device, threads=settings["threads"])
    if results is None:
        return None
    return {
        "key": configuration.key,
        "configuration": configuration.to_dict(),
        "spectra_seen": configuration.spectra_seen,
        "device": _machine(device),
        "command": settings["command"],
        "revision": settings["revision"],
        "specvit": __version__,
        "torch": torch.__version__,
        "sharing": sharing,
        "joules": None if energy is None else round(gpu_joules() - energy),
        **results,
    }


def work(settings):
    """Take configurations until none is left or affordable; returns the number of those done.

    Parameters
    ----------
    settings : dict
        ``tasks``: descriptions of configurations in their order; ``lane``; ``device``; ``sharing``, the
        number of workers on this device; ``threads``; ``folder`` of the ledger; ``deadline``, a time of the
        epoch or None; ``compile``; ``data``, the file of real stars or None; ``checkpoint_all``, whether
        short trainings leave checkpoints too; ``command`` and ``revision``.
    """
    torch.set_num_threads(settings["threads"])
    ledger, device = Ledger(settings["folder"]), torch.device(settings["device"])
    deadline = float("inf") if settings["deadline"] is None else settings["deadline"]
    tasks = [Configuration.from_dict(one) for one in settings["tasks"]]
    done = 0
    for configuration in tasks:
        key, seconds = configuration.key, deadline - time.time()
        if configuration.lane != settings["lane"] or ledger.finished(key):
            continue
        if not affordable(configuration, seconds) or not ledger.claim(key):
            continue
        begun = time.monotonic()
        try:
            if ledger.finished(key):
                continue
            if settings["compile"]:
                forget_compiled()  # else networks of other shapes count against a limit of recompilations
            row = _row(configuration, settings, device, ledger)
        except Exception:
            ledger.fail(key, f"{json.dumps(configuration.to_dict())}\n{traceback.format_exc()}")
            _say(settings, configuration, "FAILED", begun)
            print(traceback.format_exc(), flush=True)
            continue  # its claim stays: it is not tried again in this call
        if row is None:
            ledger.release(key)
            _say(settings, configuration, "interrupted", begun)
            continue
        ledger.finish(row)
        done += 1
        _say(settings, configuration, _headline(row), begun)
    return done


def _headline(row):
    for result in row["results"]:
        if result["label"] == "logg":
            return f"R2 {result['r2']:.4f} MAE {result['mae']:.4f}"
    return row.get("failure", "")


def _say(settings, configuration, text, begun):
    print(
        f"[{settings['name']}] {(time.monotonic() - begun) / 60:5.2f} min (planned "
        f"{configuration.minutes:.2f})  {text}  {json.dumps(configuration.to_dict())}",
        flush=True,
    )


if __name__ == "__main__":
    path = Path(sys.argv[1])
    work(json.loads(path.read_text()) | {"name": os.path.splitext(path.name)[0]})
