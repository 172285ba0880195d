"""Few stars of a target: what the other library is, and that each way of learning gives a row."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from specvit.labels import LABELS
from specvit.stars import Emulator
from specvit.weights import load_weights
from studies.configuration import Configuration
from studies.fewstars import fit_few, hidden_features
from studies.realstars import fit_real, folds_of
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


def prepared(path, n=13):
    survey = target_survey("lines", 3)
    batch, labels = as_batch(survey.draw(n), survey.grid)
    arrays = {name: getattr(batch, name) for name in ("flux", "ivar", "lsf", "sampling")}
    np.savez(path, logg=labels[:, LABELS.index("logg")], **arrays)
    return labels[:, LABELS.index("logg")]


def test_folds_share_all_log_g_evenly_and_differ_from_seed_to_seed():
    logg = np.random.default_rng(0).permutation(np.linspace(1, 5, 33))
    fold = folds_of(logg, 0)
    ordered = fold[np.argsort(logg)]
    assert all(len(set(ordered[k : k + 5])) == 5 for k in range(0, 30, 5))
    assert sorted(np.bincount(fold)) == [6, 6, 7, 7, 7]
    assert (fold != folds_of(logg, 1)).any() and (fold == folds_of(logg, 0)).all()


def test_every_real_star_is_predicted_by_what_has_not_seen_it(tmp_path, monkeypatch):
    logg, seen = prepared(tmp_path / "stars.npz"), []

    def predict(configuration, stars, known, tests, *, device, threads):
        assert configuration.spectra == len(stars) == len(known)
        assert not set(map(bytes, stars.flux)) & set(map(bytes, tests.flux))
        seen.extend(map(bytes, tests.flux))
        return np.full((len(tests), 1), known.mean()), None

    monkeypatch.setattr("studies.realstars.predict_few", predict)
    configuration = few(target="stelib", method="finetune", weights="any")
    row = fit_real(configuration, device=CPU, threads=1, data=tmp_path / "stars.npz")
    assert len(seen) == len(set(seen)) == len(logg)
    (figures,) = row["results"]
    assert figures["n"] == len(logg) and figures["mae"] == pytest.approx(np.abs(logg - 3).mean(), abs=0.6)


def test_real_stars_must_be_there():
    configuration = few(target="stelib", method="finetune", weights="any")
    for data in (None, "nowhere.npz"):
        with pytest.raises(ValueError, match="data must be a file"):
            fit_real(configuration, device=CPU, threads=1, data=data)


@pytest.mark.slow
def test_trees_of_few_stars_learn_from_components_of_signal_not_of_noise():
    # Unweighted, components of a thousand faint spectra are those of noise: R² was 0.
    pytest.importorskip("lightgbm")
    configuration = few(method="lightgbm", target="lines", spectra=1000, n_test=500)
    configuration = replace(configuration, options=(("min_child_samples", 5), ("n_components", 16)))
    (figures,) = fit_few(configuration, device=CPU, threads=1)["results"]
    assert figures["r2"] > 0.2
