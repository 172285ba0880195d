"""Energy that a GPU has used, from NVIDIA's management library."""

from __future__ import annotations

import ctypes
import os

__all__ = ["gpu_joules"]


def gpu_joules():
    """Energy in J that this process's GPU has used since its driver was loaded; None where nobody tells.

    The GPU is the first of ``CUDA_VISIBLE_DEVICES``, in the order of the bus.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
        handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
        failed = (
            library.nvmlInit_v2()
            or library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(visible)), ctypes.byref(handle))
            or library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules))
        )
    except (OSError, AttributeError, ValueError):
        return None
    return None if failed else millijoules.value / 1000
