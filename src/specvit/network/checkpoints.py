"""Checkpoints that are about to be continued: whether they are ours, whole, and of this very run."""

from __future__ import annotations

import torch

from specvit.paths import user_path

__all__ = ["check_checkpoint", "checkpoint_to_resume"]

#: What may differ in a run that is continued: how long it is, when it looks, and on which device.
_FREE = (
    "max_steps",
    "warmup_steps",
    "val_every_steps",
    "log_every_steps",
    "patience",
    "compile",
    "precision",
)


def checkpoint_to_resume(resume, checkpoint_dir):
    """Path of the checkpoint to continue from; None to start anew.

    Parameters
    ----------
    resume : None, "last" or path
        As for `specvit.network.train`.
    checkpoint_dir : path or None
        Folder of ``last.ckpt``.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such checkpoint, or "last" without a folder.
    """
    if resume is None:
        return None
    if resume == "last":
        if checkpoint_dir is None:
            raise ValueError("resume='last' needs checkpoint_dir")
        last = user_path(checkpoint_dir) / "last.ckpt"
        return last if last.exists() else None
    if not user_path(resume).exists():
        raise FileNotFoundError(f"resume must be None, 'last' or an existing checkpoint, got {resume!r}")
    return user_path(resume)


def check_checkpoint(path, regressor, config):
    """Raise unless a checkpoint can be continued by this run.

    It is read with ``weights_only``: nothing in a file can run code.

    Parameters
    ----------
    path : path
        The checkpoint.
    regressor : LabelRegressor
        The network that is to be trained.
    config : TrainingConfig
        How. Only the length of the run, the times at which it looks, patience and precision may differ.

    Raises
    ------
    ValueError
        If it is damaged, not of this package, or of another network or configuration.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        theirs, settings = found["specvit_regressor"], found["specvit_config"]
    except Exception as reason:  # damaged and foreign files fail in many ways
        first = str(reason).strip().splitlines()[:1]
        raise ValueError(
            f"checkpoint: {path} is damaged or no checkpoint of this package "
            f"({type(reason).__name__}{': ' if first else ''}{''.join(first)})"
        ) from None
    if theirs != regressor.to_dict():
        raise ValueError(
            f"checkpoint: {path} is of a regressor of another shape than the one given: "
            f"{theirs} against {regressor.to_dict()}"
        )
    ours = config.to_dict()
    differ = [name for name in ours if name not in _FREE and settings.get(name) != ours[name]]
    if differ:
        said = ", ".join(f"{name} {settings.get(name)!r} and not {ours[name]!r}" for name in differ)
        raise ValueError(f"checkpoint: {path} is of a run with {said}: take another checkpoint_dir")
