"""Objects tell in one line what they are."""

import numpy as np

from specvit import PFS_MR, Emulator, PixelGrid
from specvit.limits import Fisher


def test_grids_say_range_pixels_and_resolution():
    assert repr(PFS_MR) == "PixelGrid('PFS MR', 7100.0–8850.0 Å in vacuum, 4096 pixels, R = 5372–6596)"
    own = PixelGrid.from_resolving_power(7100, 8850, 2500, name="mine", medium="air")
    assert repr(own) == "PixelGrid('mine', 7100.0–8850.0 Å in air, 1378 pixels, R = 2500)"


def test_emulators_say_grid_and_labels():
    text = repr(Emulator.load())
    assert repr(PFS_MR) in text and "logg 0.3" in text and "calibrated" not in text
    assert repr(Emulator.load(calibrated=True)).endswith("calibrated)")


def test_information_says_the_errors():
    matrix = np.diag([0.01, 4.0])
    assert repr(Fisher(matrix[None], ("teff", "logg"))) == "Fisher(1 spectrum: teff ± 10, logg ± 0.5)"
    two = Fisher(np.stack([matrix, matrix / 4]), ("teff", "logg"))
    assert repr(two) == "Fisher(2 spectra, median: teff ± 15, logg ± 0.75)"
