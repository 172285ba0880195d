"""The runner: plans the configurations of several studies, and lets one worker a device run them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import specvit
from specvit.checks import check_integer
from studies.ledger import Ledger, read_rows, write_rows

__all__ = ["collect", "ordered", "plan_lines", "run"]

_GRACE = 20.0  # seconds after the deadline in which workers may end by themselves
_POLL = 0.5


def ordered(studies):
    """Configurations of several studies, each once, in the order in which they are run.

    First those of the first seed of all studies, then of the second …; within a seed those of the first
    study, the longest first, so that no device is left with a long one at the end.

    Parameters
    ----------
    studies : sequence of Study
        In the order of their importance.

    Returns
    -------
    list of Configuration
    """
    chosen = {}
    for number, study in enumerate(studies):
        for configuration in study.configurations:
            chosen.setdefault(configuration.key, (configuration.seed, number, configuration))
    keyed = sorted(chosen.values(), key=lambda one: (one[0], one[1], -one[2].minutes))
    return [configuration for _, _, configuration in keyed]


def plan_lines(studies, finished=(), devices=4):
    """The plan as lines of text: runs and predicted minutes of each study, what is finished left out."""
    lines = [f"{'study':14s}{'runs':>6s}{'left':>6s}{'device min':>12s}{'first seed':>12s}{'cores min':>11s}"]
    totals, seen = [0.0, 0.0, 0.0], set()
    for study in studies:
        own = [one for one in study.configurations if one.key not in finished and one.key not in seen]
        seen |= {one.key for one in own}
        device = [one for one in own if one.lane == "device"]
        minutes = [
            sum(one.minutes for one in device),
            sum(one.minutes for one in device if one.seed == 0),
            sum(one.minutes for one in own if one.lane == "cores"),
        ]
        totals = [a + b for a, b in zip(totals, minutes, strict=True)]
        lines.append(
            f"{study.name:14s}{len(study.configurations):6d}{len(own):6d}{minutes[0]:12.1f}{minutes[1]:12.1f}"
            f"{minutes[2]:11.1f}"
        )
    lines.append(f"{'in all':26s}{totals[0]:12.1f}{totals[1]:12.1f}{totals[2]:11.1f}")
    whole, first = totals[0] / devices, totals[1] / devices
    lines.append(f"on {devices} devices: {whole:.1f} min, first seeds {first:.1f} min")
    return lines


def collect(ledger, path):
    """Write the rows of a ledger to `path`, with those that it holds already; returns all rows."""
    rows = ledger.rows()
    if path is not None:
        rows = read_rows(path) | rows
        write_rows(path, rows)
    return rows


def _environment(device, number, threads):
    """Environment of a worker: one GPU of its own, which it calls "cuda"."""
    folders = Path(__file__).parents[1], Path(specvit.__file__).parents[1]
    paths = [*map(str, folders), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "OMP_NUM_THREADS": str(threads),
        "TORCHINDUCTOR_COMPILE_THREADS": "4",
        "PYTHONUNBUFFERED": "1",
    }
    if device == "cuda":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        own = visible.split(",")[number] if visible else str(number)
        environment |= {"CUDA_VISIBLE_DEVICES": own, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return environment


def run(
    tasks,
    folder,
    *,
    device="cpu",
    devices=1,
    sharing=1,
    core_workers=1,
    max_minutes=None,
    rows=None,
    known=(),
    data=None,
    compiled=True,
    checkpoint_all=False,
    revision="unknown",
    command="",
    begun=None,
):
    """Run configurations in worker processes.

    Parameters
    ----------
    tasks : sequence of Configuration
        In the order in which they are taken.
    folder : path
        Of the ledger: finished rows and checkpoints, from which a later call goes on.
    device : {"cpu", "cuda"}
        Kind of device.
    devices : int
        Number of devices.
    sharing : int
        Workers of each device: small networks leave most of a GPU idle. Rows then have no energy, and their
        minutes are not those of a device of their own.
    core_workers : int
        Workers for what runs on cores, if anything does; they draw spectra on the last devices.
    max_minutes : float, optional
        Time of this call, after which trainings stop at a checkpoint.
    rows : path, optional
        File of JSON lines in which all finished rows are kept, written anew after each.
    known : sequence of path
        Files of rows of earlier calls, which are not run again.
    data : path, optional
        File of real stars, see `studies.realstars`.
    compiled : bool
        Whether networks are compiled on a GPU.
    checkpoint_all : bool
        Whether trainings of less than a minute leave checkpoints too.
    revision, command : str
        For the record.
    begun : float, optional
        Time of the epoch at which the call began; by default now.

    Returns
    -------
    bool
        Whether all tasks are finished.
    """
    check_integer("devices", devices, 1)
    check_integer("sharing", sharing, 1)
    begun = time.time() if begun is None else begun
    ledger = Ledger(folder)
    ledger.release_all()
    wanted = {one.key for one in tasks}
    for path in known:
        for key, row in read_rows(path).items():
            if key in wanted and not ledger.finished(key):
                ledger.finish(row)
    left = [one for one in tasks if not ledger.finished(one.key)]
    lanes = {one.lane for one in left}
    cores = os.cpu_count() or 1
    places = [("device", k) for k in range(devices * sharing if "device" in lanes else 0)]
    places += [("cores", k) for k in range(core_workers if "cores" in lanes else 0)]
    for_device = max(1, min(4, cores // max(1, len(places))))
    for_cores = max(1, (cores - for_device * devices * sharing) // max(1, core_workers))
    deadline = None if max_minutes is None else begun + 60 * max_minutes
    workers = []
    for lane, number in places:
        threads = for_device if lane == "device" else for_cores
        settings = {
            "tasks": [one.to_dict() for one in left],
            "lane": lane,
            "device": device,
            "sharing": sharing,
            "threads": threads,
            "folder": str(ledger.folder),
            "deadline": deadline,
            "compile": compiled and device == "cuda",
            "checkpoint_all": checkpoint_all,
            "data": None if data is None else str(data),
            "command": command,
            "revision": revision,
        }
        path = ledger.folder / f"{lane}-{number}.json"
        path.write_text(json.dumps(settings))
        own = number % devices if lane == "device" else devices - 1 - number % devices
        workers.append(
            subprocess.Popen(
                [sys.executable, "-m", "studies.worker", str(path)],
                env=_environment(device, own, threads),
            )
        )
    _watch(workers, ledger, rows, deadline)
    for worker in workers:
        if worker.returncode > 0:
            print(f"FAILED: a worker ended with status {worker.returncode}", flush=True)
    finished = collect(ledger, rows)
    failures = sorted((ledger.folder / "failures").glob("*.txt"))
    for path in failures:
        print(f"FAILED {path.stem}: {path.read_text().splitlines()[-1]}", flush=True)
    return all(one.key in finished for one in tasks)


def _watch(workers, ledger, rows, deadline):
    """Wait for the workers, keep the file of rows up to date, and end those that outstay the deadline."""
    count = -1

    def end(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        while any(worker.poll() is None for worker in workers):
            now = len(list((ledger.folder / "rows").glob("*.json")))
            if now != count:
                collect(ledger, rows)
                count = now
            if deadline is not None and time.time() > deadline + _GRACE:
                print("workers that outstayed the deadline are ended", flush=True)
                break
            time.sleep(_POLL)
    finally:
        signal.signal(signal.SIGTERM, before)
        for worker in workers:
            if worker.poll() is None:
                worker.terminate()
        for worker in workers:
            try:
                worker.wait(10)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
