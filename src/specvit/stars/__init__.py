"""Synthetic starlight: libraries of spectra, emulators fitted to them, and how spectra move and broaden."""

from specvit.stars.bosz import read_bosz
from specvit.stars.emulator import Emulator
from specvit.stars.library import SyntheticLibrary, needed_range
from specvit.stars.libraryreading import read_library
from specvit.stars.linecalibration import LineCalibration
from specvit.stars.regridding import regrid_emulator

__all__ = [
    "Emulator",
    "LineCalibration",
    "SyntheticLibrary",
    "needed_range",
    "read_bosz",
    "read_library",
    "regrid_emulator",
]
