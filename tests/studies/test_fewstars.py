"""Few stars of a target: what the other library is, and that each way of learning gives a row."""

import numpy as np
import pytest
import torch

from specvit.labels import LABELS
from specvit.stars import Emulator
from specvit.weights import load_weights
from studies.configuration import Configuration
from studies.fewstars import fit_few, hidden_features
from studies.targets import LINE_ERR, SCALES, as_batch, other_library, target_survey

CPU = torch.device("cpu")
SMALL = (("depth", 1), ("heads", 2), ("width", 16))


def few(**options):
    return Configuration(**{"tests": (), "n_test": 20, "batch_size": 8, "steps": 2, "spectra": 30} | options)


def test_the_other_library_is_one_draw_of_the_stated_size_and_changes_lines_only():
    curves = torch.stack([other_library(seed).correction.factor(torch.zeros(1, 5))[0] for seed in range(40)])
    assert torch.equal(curves[0], other_library(0).correction.factor(torch.zeros(1, 5))[0])
    variance = curves.log().var(0).mean()  # over libraries, where each scale counts in full
    assert float(variance) == pytest.approx(len(SCALES) * LINE_ERR**2, rel=0.15)
    ours, other = Emulator.load(), other_library(0)
    labels = torch.tensor([[4500.0, 2.0, -0.5, 0.2, 0.0]])
    lines = ours.normalised(labels)
    assert torch.allclose(other.correction(lines, labels), lines.clamp_min(1e-3) ** curves[0], atol=1e-5)


@pytest.mark.parametrize("target", ["lines", "instrument"])
def test_targets_have_the_pixels_of_pfs_and_enough_of_them(target):
    survey = target_survey(target, 1)
    batch, labels = as_batch(survey.draw(50), survey.grid)
    assert batch.flux.shape == (50, 4096) and (batch.coverage > 0.5).all()
    assert (labels[:, LABELS.index("logg")] >= 1).all() and (labels[:, LABELS.index("logg")] <= 5).all()
    assert (batch.lsf.mean() > 0.5) == (target == "instrument")  # log2 of the σ of 2.5 Å over 1.3 Å


def test_hidden_features_are_what_the_head_reads():
    regressor = load_weights("paper")[0]
    survey = target_survey("lines", 1)
    batch, _ = as_batch(survey.draw(3), survey.grid)
    flux, ivar = (torch.tensor(x, dtype=torch.float32) for x in (batch.flux, batch.ivar))
    hidden = torch.tensor(hidden_features(regressor, batch), dtype=torch.float32)
    with torch.no_grad():
        expected = regressor.network(regressor.encode(flux, ivar)[0])
        assert torch.allclose(regressor.network.head(hidden), expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["lines", "instrument"])
@pytest.mark.parametrize(
    "options",
    [
        {"method": "finetune", "weights": "any", "spectra": None},
        {"method": "finetune", "weights": "paper", "learning_rate": 5e-5},
        {"method": "finetune", "changes": SMALL},
        {"method": "head", "weights": "any"},
        {"method": "lightgbm", "options": (("min_child_samples", 5), ("n_components", 4), ("n_trees", 5))},
    ],
)
def test_each_way_of_learning_gives_a_row(target, options):
    row = fit_few(few(target=target, **options), device=CPU, threads=1)
    (result,) = row["results"]
    assert (result["test"], result["label"]) == ("target", "logg")
    assert result["n"] == 20 and np.isfinite([result["r2"], result["mae"]]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "moon"}, "target must be"),
        ({"weights": "best", "target": "lines"}, "weights must be"),
        ({"method": "head", "target": "lines"}, "weights"),
        ({"method": "head", "weights": "any"}, "target"),
        ({"method": "finetune"}, "target"),
    ],
)
def test_what_is_learned_must_be_said(options, message):
    with pytest.raises(ValueError, match=message):
        Configuration(**options)
