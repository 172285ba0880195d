"""Where pixels are: instrument grids and resampling onto them (numpy and scipy only)."""

from specvit.constants import FWHM_PER_SIGMA
from specvit.grid.air import air_to_vacuum, vacuum_to_air
from specvit.grid.edges import edges_from_centres
from specvit.grid.instruments import INSTRUMENTS, TELLURIC, Instrument, find_instrument, find_windows
from specvit.grid.native import native_edges, relative_lsf, relative_sampling, unseen_ends
from specvit.grid.pixelgrid import PFS_MR, PixelGrid
from specvit.grid.resample import Resampled, Resampler, matching_sigma

__all__ = [
    "FWHM_PER_SIGMA",
    "INSTRUMENTS",
    "PFS_MR",
    "TELLURIC",
    "Instrument",
    "PixelGrid",
    "Resampled",
    "Resampler",
    "air_to_vacuum",
    "edges_from_centres",
    "find_instrument",
    "find_windows",
    "matching_sigma",
    "native_edges",
    "relative_lsf",
    "relative_sampling",
    "unseen_ends",
    "vacuum_to_air",
]
