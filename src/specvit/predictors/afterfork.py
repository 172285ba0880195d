"""Networks in processes that were forked from one in which a network has run: they get one thread.

OpenMP's threads do not survive a fork, and the first parallel sum in the child would wait for them for ever.
With one thread there is nothing to wait for.
"""

from __future__ import annotations

import os

import torch

__all__ = ["single_thread"]


def single_thread():
    """Let torch use one thread in this process."""
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows, where there is no fork
    os.register_at_fork(after_in_child=single_thread)
