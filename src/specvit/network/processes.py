"""Several processes that train one network: one for each device, started together by torchrun."""

from __future__ import annotations

import os

import torch

from specvit.checks import check_integer

__all__ = ["leave", "n_processes", "own_device", "process_rank"]


def n_processes():
    """How many processes torchrun has started, this one among them; 1 without it.

    Examples
    --------
    >>> n_processes()
    1
    """
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def process_rank(devices):
    """Number of this process, from 0, among those that train together.

    Parameters
    ----------
    devices : int
        How many there are; 1 is ordinary training in the process at hand.

    Raises
    ------
    ValueError
        If torchrun has not started as many on this machine.

    Examples
    --------
    >>> process_rank(1)
    0
    """
    check_integer("devices", devices, 1)
    started = n_processes()
    if devices != started:
        raise ValueError(
            f"devices must be the number of processes that were started, {started}, got {devices}; for more "
            f"than one, run the script with: torchrun --standalone --nproc-per-node={max(2, devices)} SCRIPT"
        )
    if devices == 1:
        return 0
    if int(os.environ["LOCAL_WORLD_SIZE"]) != devices:
        raise ValueError("devices must all be on one machine, got processes on several")
    return int(os.environ["RANK"])


def own_device(device):
    """The device of this process: ``"cuda"`` is the GPU of its number, and is made the current one.

    Examples
    --------
    >>> own_device("cpu")
    device(type='cpu')
    """
    device = torch.device(device)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    return device


def leave():
    """End the communication of the processes, all at once, so that each may go on or exit alone.

    Examples
    --------
    >>> leave()  # of one process there is nothing to end
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
