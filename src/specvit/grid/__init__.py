"""Where pixels are: instrument grids and resampling onto them (numpy and scipy only)."""

from specvit.grid.pixelgrid import FWHM_PER_SIGMA, PFS_MR, PixelGrid

__all__ = ["FWHM_PER_SIGMA", "PFS_MR", "PixelGrid"]
