"""One row: what is trained and how it is tested."""

import numpy as np
import pytest
import torch

from specvit.grid import PFS_MR
from specvit.labels import LABELS
from specvit.network import ViTConfig
from specvit.network.positions import token_wavelengths
from specvit.survey import Survey
from specvit.survey.streams import EVALUATION
from studies.configuration import NETWORKS, Configuration
from studies.limit import fit_limit
from studies.plainnetworks import PlainCNN, PlainMLP
from studies.scoring import score, shifted
from studies.training import build_regressor, first_gradient_norm, train_network, training_batches

TINY = (("depth", 1), ("heads", 2), ("mlp", 16), ("width", 16))
CPU = torch.device("cpu")


def tiny(*changes, **options):
    values = {"changes": TINY + changes, "spectra": 32, "steps": 4, "batch_size": 16, "n_test": 20}
    return Configuration(**values | options)


@pytest.mark.parametrize("patch", [16, 64])
def test_a_sliding_window_equals_a_convolution_after_training(patch):
    rows = [
        train_network(
            tiny(("tokenizer", tokenizer), ("patch_size", patch), precision="64-true", steps=12), device=CPU
        )
        for tokenizer in ("conv1d", "sliding_window")
    ]
    first, second = rows
    assert first["first_gradient_norm"] == pytest.approx(second["first_gradient_norm"], rel=1e-10)
    np.testing.assert_allclose(first["curve"]["train_loss"], second["curve"]["train_loss"], rtol=1e-9)
    for a, b in zip(first["results"], second["results"], strict=True):
        assert [a[name] for name in ("r2", "mae", "bias")] == pytest.approx(
            [b[name] for name in ("r2", "mae", "bias")], rel=1e-9, abs=1e-9
        )


def test_the_tokenizer_alone_or_all_matrices_are_as_torch_makes_them():
    networks = {
        kind: build_regressor(tiny(("tokenizer", "conv1d"), initialisation=kind)).network
        for kind in ("normal", "tokenizer", "all")
    }
    fan_in = 2 * NETWORKS["compact"].patch_size
    for kind, network in networks.items():
        expected = 0.02 * 0.88 if kind == "normal" else (3 * fan_in) ** -0.5  # of a normal cut at 2 σ
        assert network.tokenizer.linear.weight.std().item() == pytest.approx(expected, rel=0.1)
        expected = (3 * 16) ** -0.5 if kind == "all" else 0.02 * 0.88
        assert network.layers[0].mlp_in.weight.std().item() == pytest.approx(expected, rel=0.2)


def test_the_first_gradient_is_that_of_finite_differences():
    configuration = tiny(loss="mse", labels=("logg",), precision="64-true")
    regressor = build_regressor(configuration).double()
    batch = next(iter(training_batches(configuration, CPU)))
    norm = first_gradient_norm(regressor, batch, "mse")
    # along its own direction the loss changes by norm² per unit step
    parameters = list(regressor.parameters())
    flux, ivar, labels = batch

    def loss():
        mean, _ = regressor(flux, ivar)
        return ((mean - labels) ** 2).mean()

    gradient = torch.autograd.grad(loss(), parameters)
    step = 1e-6
    values = []
    with torch.no_grad():
        for move in (step, -2 * step):
            for parameter, slope in zip(parameters, gradient, strict=True):
                parameter += move * slope
            values.append(loss().item())
    assert norm**2 == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5)


def test_a_stream_gives_the_labels_that_are_learned():
    one = next(iter(training_batches(tiny(labels=("mh", "logg")), CPU)))[2]
    all_labels = next(iter(training_batches(tiny(), CPU)))[2]
    assert torch.equal(one, all_labels[:, [LABELS.index("mh"), LABELS.index("logg")]])


def test_another_seed_trains_on_other_stars_and_none_on_the_test_stars():
    seen = [next(iter(training_batches(tiny(seed=seed), CPU)))[2] for seed in (0, 1)]
    test = Survey("paper", seed=20_000).draw(20, stream=EVALUATION).labels
    assert not torch.isin(seen[0][:, 1], seen[1][:, 1]).any()
    assert not torch.isin(test[:, 1], torch.cat(seen)[:, 1]).any()


@pytest.mark.parametrize("kind", [PlainMLP, PlainCNN])
def test_plain_networks_learn_a_line_of_known_depth(kind):
    torch.manual_seed(0)
    network = kind(ViTConfig(n_pixels=64, in_channels=2, n_outputs=3), (8, 8))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    x = torch.randn(64, 2, 64)
    target = torch.stack([x[:, 0, 5], -x[:, 0, 5], 2 * x[:, 0, 5]], 1)
    losses = []
    for _ in range(150):
        loss = (network(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert network.n_parameters == sum(p.numel() for p in network.parameters())


def test_shifted_spectra_begin_later_and_end_masked():
    flux, ivar = torch.arange(5.0)[None], torch.ones(1, 5)
    moved, weight = shifted(flux, ivar, 2)
    assert moved.tolist() == [[2, 3, 4, 0, 0]] and weight.tolist() == [[1, 1, 1, 0, 0]]


def test_scores_are_those_of_the_definition_on_the_stars_of_the_test():
    def predict(flux, ivar):
        return flux[:, :1] * 0 + 3.0, None

    results, correlation = score(predict, ("logg",), LABELS, ("paper", "noise", "shift"), 30, CPU)
    truth = Survey("paper", seed=20_000).draw(30, stream=EVALUATION).labels[:, 1].double()
    expected = 1 - (truth - 3).square().sum() / (truth - truth.mean()).square().sum()
    assert {row["condition"] for row in results if row["test"] == "paper"} == {
        None, 20.5, 21.0, 21.5, 22.0, 22.5
    }  # fmt: skip
    for row in results:  # the same stars everywhere
        assert row["r2"] == pytest.approx(float(expected), abs=1e-6)
        assert row["mae"] == pytest.approx(float((truth - 3).abs().mean()), abs=1e-6)
    assert correlation is None


def test_a_network_of_wavelengths_is_told_of_a_shift_while_it_is_tested():
    regressor = build_regressor(tiny(("position", "pipe"), ("tokenizer", "conv1d"), ("patch_size", 32)))
    position, seen = regressor.network.position, []
    home = position.features.clone()

    def predict(flux, ivar):
        seen.append(position.features.clone())
        return flux[:, :1], None

    score(predict, ("logg",), LABELS, ("paper", "shift"), 10, CPU, regressor=regressor)
    assert torch.equal(position.features, home)
    assert torch.equal(seen[0], home)
    # 32 pixels are one token here: the first token then lies where the second was
    moved = seen[6 + 4]
    torch.testing.assert_close(moved[0], home[1], rtol=0, atol=2e-2)
    wavelength = token_wavelengths(PFS_MR.wave, regressor.config)
    assert wavelength[1] - wavelength[0] == pytest.approx(32 * 1750 / 4096, rel=1e-6)


def test_a_loss_that_is_not_finite_is_a_result():
    row = train_network(tiny(learning_rate=1e30, loss="mse", labels=("logg",), steps=60), device=CPU)
    assert (row["results"] == [] and "not finite" in row["failure"]) or "nan" in row["failure"]


@pytest.mark.parametrize("tokenizer", ["conv1d", "sliding_window"])
def test_the_first_gradient_of_l1_is_the_imbalance_of_the_batch(tokenizer):
    # A new network answers the same to all spectra: the gradient is one vector times the mean of the signs
    # of the residuals, so that its norm tells the batch and not the tokenizer.
    changes = ("tokenizer", tokenizer), ("patch_size", 32)
    configuration = tiny(*changes, encoding="median", labels=("logg",), loss="l1")
    regressor = build_regressor(configuration).eval()
    regressor.set_label_scaling([3.0], [1.3])
    ratios, norms = [], []
    for stream in range(6):
        drawn = Survey("paper", seed=5).draw(64, stream=stream)
        logg = drawn.labels[:, [LABELS.index("logg")]]
        with torch.no_grad():
            answer = regressor(drawn.flux, drawn.ivar)[0]
        imbalance = ((logg - 3.0) / 1.3 - answer).sign().mean().abs()
        norms.append(first_gradient_norm(regressor, (drawn.flux, drawn.ivar, logg), "l1"))
        if imbalance > 0.05:
            ratios.append(norms[-1] / float(imbalance))
    assert len(ratios) >= 3 and np.std(ratios) < 0.05 * np.mean(ratios)
    assert max(norms) > 1.5 * min(norms)


def test_larger_positions_are_of_the_size_of_tokens_as_torch_makes_them():
    common = {"encoding": "median", "labels": ("logg",), "loss": "l1"}
    plain, larger = (
        build_regressor(tiny(("tokenizer", "conv1d"), initialisation=name, **common)).network
        for name in ("tokenizer", "tokenizer, positions")
    )
    assert torch.equal(plain.tokenizer.linear.weight, larger.tokenizer.linear.weight)
    assert torch.allclose(larger.position.table, 30 * plain.position.table)
    tokens = larger.tokenizer(torch.ones(1, 1, 4096))
    assert 0.5 < (larger.position.table.std() / tokens.std()).item() < 2


def test_positions_of_the_reference_drown_the_tokens_of_a_sliding_window():
    common = {"encoding": "median", "labels": ("logg",), "loss": "mse", "network": "reference"}
    flux = Survey("paper", seed=5).draw(8).flux
    share = {}
    for tokenizer, kind in (("sliding_window", "unit positions"), ("conv1d", "tokenizer, unit positions")):
        network = build_regressor(tiny(("tokenizer", tokenizer), initialisation=kind, **common)).network
        assert network.position.table.std().item() == pytest.approx(1, abs=0.1)
        tokens = network.tokenizer(flux[:, None] / (2 * flux.median(1).values[:, None, None]))
        share[tokenizer] = (tokens.std(0).mean() / network.position.table.std()).item()
    # Matrices of σ = 0.02 and of a uniform distribution within 1/4: 0.018 and 0.144.
    assert share["conv1d"] / share["sliding_window"] == pytest.approx(0.144 / 0.0176, rel=0.3)
    assert share["sliding_window"] < 0.05


@pytest.mark.slow
def test_posterior_means_of_the_test_stars_are_a_row_like_others():
    options = (("n_prior", 2048), ("n_draws", 200), ("n_rounds", 5), ("target_ess", 200), ("min_ess", 20))
    configuration = Configuration(method="posterior", spectra=None, n_test=16, options=options)
    row = fit_limit(configuration, device=CPU)
    assert [one["label"] for one in row["results"]] == list(LABELS)
    logg = row["results"][LABELS.index("logg")]
    assert (logg["test"], logg["condition"], logg["n"]) == ("paper", None, 16)
    # The right stars beside the right spectra: of sixteen, R² is 0.89 to about 0.05.
    assert 0.7 < logg["r2"] < 1 and 0.8 < row["limit"][0] < 0.97
    assert logg["rmse"] == pytest.approx(((1 - row["limit"][0]) * 1.66) ** 0.5, rel=0.6)
