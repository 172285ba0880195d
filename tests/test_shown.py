"""Objects tell in one line what they are."""

import numpy as np

from specvit import PFS_MR, Emulator, PixelGrid, Survey
from specvit.honesty import Findings
from specvit.limits import Fisher, Posterior
from specvit.spectra import adapt
from specvit.survey import LabelPrior, SNRNoise


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


def test_batches_say_how_many_and_how_good():
    flux = np.ones((3, 4096))
    flux[2] = np.nan
    ivar = np.full((3, 4096), 100.0)
    ivar[1] = 400.0
    found = repr(adapt(flux, ivar=ivar, on_error="nan"))
    assert found == f"SpectrumBatch(3 spectra on {PFS_MR!r}, 2 usable, S/N 10.0–20.0)"
    drawn = Survey("paper", seed=1).draw(2, magnitude=21.0)
    low, high = sorted(drawn.snr.tolist())
    assert repr(drawn) == f"SurveyBatch(2 spectra of 4096 pixels, S/N {low:.1f}–{high:.1f}, on cpu)"


def test_results_say_values_and_not_arrays():
    one = np.array([[4700.0, 2.2]])
    found = Posterior(
        ("teff", "logg"), one, one / 100, one, one, one, one / 100, np.ones(1), np.ones(1, bool)
    )
    assert repr(found) == "Posterior(1 spectrum: teff 4700 ± 47, logg 2.2 ± 0.022; 1 flagged)"
    assert repr(Findings.nothing(2)).startswith("Findings(2 spectra, 0 measured: velocity, ")


def test_surveys_are_printed_in_few_lines_whatever_they_are_made_of():
    prior = LabelPrior((4000, 6000), (1, 5), (-1, 0.3), (-0.1, 0.4), (-0.3, 0.3))
    own = Survey("own", prior=prior, noise=SNRNoise((20, 200)), masked=[(7590, 7700)], velocity=30, n=4000)
    lines = str(own).splitlines()
    assert lines[0] == "Survey 'own', 4,000 stars, seed 0"
    assert lines[1].startswith("  stars:") and lines[1].endswith(
        " Teff 4000–6000 K, log g 1–5, [M/H] -1–0.3, [alpha/M] -0.1–0.4, [C/M] -0.3–0.3 (LabelPrior)"
    )
    assert repr(PFS_MR) in lines[2] and lines[3].endswith("SNRNoise, S/N 20–200")
    assert lines[4].split(None, 1)[1] == "-30–30 km/s" and lines[5].split(None, 1)[1] == "7590–7700 Å"
    assert len(lines) == 6 and max(map(len, lines)) < 115
    shown = own._repr_html_()
    assert shown.startswith("<table>") and "S/N 20–200" in shown and "&#x27;own&#x27;" in shown


def test_a_survey_of_instruments_is_printed_too():
    assert str(Survey("any")).startswith("Survey 'any', without end, seed 0\n  stars:")
