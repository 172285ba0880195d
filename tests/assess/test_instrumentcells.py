"""The frozen test of any instrument: the same stars in every cell, and its figures."""

import numpy as np
import pytest
import torch

from specvit.assess.instrumentcells import CELLS, score_cells, survey_of_cell
from specvit.network import LabelRegressor, ViTConfig


@pytest.fixture(scope="module")
def regressor():
    torch.manual_seed(0)
    config = ViTConfig(width=16, depth=1, heads=2, mlp=16)
    labels = ("teff", "logg", "mh", "alpham", "cm")
    regressor = LabelRegressor.build(config, labels, encoding="instrument", covariance=True)
    regressor.set_label_scaling([5000, 3, -1, 0.2, 0], [800, 1.4, 0.8, 0.2, 0.3])
    return regressor.eval()


def test_there_are_twenty_four_cells():
    assert len(set(CELLS)) == 24
    assert {cell[0] for cell in CELLS} == {1500, 2500, 4000, 6000}
    assert {cell[2] for cell in CELLS} == {20, 100}


@pytest.mark.parametrize("cell", [CELLS[0], CELLS[9], CELLS[23]])
def test_a_cell_is_what_it_says(cell):
    power, (low, high), snr = cell
    survey = survey_of_cell(cell)
    batch = survey.draw(64, stream=1)
    wave = survey.grid.wave
    seen = (batch.ivar > 0).numpy()
    middle = abs(wave - 7975) < 5
    told = (2 ** batch.lsf[:, middle].numpy() * survey.grid.lsf_sigma[middle]).mean(1)
    assert np.median(7975 / told / np.sqrt(8 * np.log(2))) == pytest.approx(min(power, 6000), rel=0.08)
    assert not seen[:, (wave < low - 2.5) | (wave > high + 2.5)].any()
    inside = (wave > low + 8) & (wave < high - 8)
    assert seen[:, inside].all()
    # Pixels of the grid within one native pixel repeat it, between two they average: never worse than native.
    assert np.median(batch.snr) == pytest.approx(snr, rel=0.45) and np.median(batch.snr) > 0.8 * snr


def test_the_stars_are_the_same_in_every_cell():
    labels = [survey_of_cell(cell).draw(8, stream=2).labels for cell in (CELLS[0], CELLS[13])]
    assert torch.equal(*labels)


def test_figures_of_a_network_that_knows_nothing(regressor):
    (row,) = score_cells(regressor, n=60, cells=CELLS[3:4], batch_size=30)
    assert row["unusable"] == 0 and row["resolving_power"] == 1500 and row["low"] == 8400
    assert row["logg"]["r2"] < 0.2
    assert 0.8 < row["logg"]["mae"] < 2.5
    assert 0 <= row["logg"]["coverage"] <= 1
