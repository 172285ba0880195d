import pytest
import torch
import torch.nn.functional as F

from specvit.network import SpectrumViT, ViTConfig

SMALL = {"n_pixels": 64, "patch_size": 8, "width": 32, "depth": 2, "heads": 4, "mlp": 64}


def small(**changes):
    config = {**SMALL, "dropout": 0.0, "attention_dropout": 0.0, **changes}
    torch.manual_seed(0)
    wavelength = torch.linspace(4000, 5000, config["n_pixels"]) if config.get("position") == "pipe" else None
    return SpectrumViT(ViTConfig.reference(**config), wavelength).eval()


def test_the_reference_has_its_number_of_parameters():
    network = SpectrumViT(ViTConfig.reference())
    assert network.n_parameters == 4_809_729
    # the often-quoted number counts a 256 -> 256 pooler that is never used
    assert network.n_parameters + 256 * 256 + 256 == 4_875_521


def test_default_reads_two_channels_and_gives_ten_outputs():
    config = ViTConfig()
    assert (config.in_channels, config.n_outputs, config.position, config.dropout) == (2, 10, "learned", 0)
    assert ViTConfig(depth=2).depth == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_pixels": 0}, "n_pixels must be an integer >= 1, got 0"),
        ({"depth": 2.0}, "depth must be an integer >= 1, got 2.0"),
        ({"heads": True}, "heads must be an integer >= 1, got True"),
        ({"stride": 17}, "stride must be at most patch_size=16, or pixels are skipped; got 17"),
        (
            {"tokenizer": "conv2d"},
            r"tokenizer must be one of \[.*\], got 'conv2d' \(did you mean 'conv1d'\?\)",
        ),
        ({"position": "ropes"}, "did you mean 'rope'"),
        ({"pooling": "max"}, "pooling must be one of"),
        ({"dropout": 1.0}, r"dropout must be a number in \[0, 1\), got 1.0"),
        ({"width": 100}, "width must be a multiple of heads=8, got 100"),
        ({"width": 24, "position": "rope"}, "position='rope' needs an even width per head"),
    ],
)
def test_a_bad_configuration_is_refused_by_name_rule_and_value(change, message):
    with pytest.raises(ValueError, match=message):
        ViTConfig.reference(**change)


def test_configuration_survives_a_dict_and_unknown_keys_are_answered():
    config = ViTConfig(stride=8)
    assert ViTConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ValueError, match="no field 'patchsize'; did you mean 'patch_size'"):
        ViTConfig.from_dict({"patchsize": 8})


@pytest.mark.parametrize("n_pixels", [1, 3, 8, 9, 61])
@pytest.mark.parametrize("tokenizer", ["conv1d", "sliding_window"])
def test_any_number_of_pixels_works(n_pixels, tokenizer):
    network = small(n_pixels=n_pixels, tokenizer=tokenizer, stride=3)
    x = torch.randn(5, 1, n_pixels)
    assert network(x).shape == (5, 1)
    # every pixel is seen, the last included
    changed = x.clone()
    changed[:, :, -1] += 1
    assert (network(changed) != network(x)).all()


@pytest.mark.parametrize("position", ["learned", "sinusoidal", "rope", "pipe", "none"])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_every_variant_computes_and_every_parameter_has_a_gradient(position, pooling):
    network = small(position=position, pooling=pooling, in_channels=2, n_outputs=3)
    out = network(torch.randn(4, 2, 64))
    assert out.shape == (4, 3)
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_initialisation_is_small_and_biases_are_zero():
    network = small()
    for name, parameter in network.named_parameters():
        if "norm" in name:
            continue
        assert (parameter == 0).all() if name.endswith("bias") else 0.005 < parameter.std() < 0.03, name


def test_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"x must have shape \(n, 1, 64\), got \(2, 64\)"):
        small()(torch.zeros(2, 64))


def test_dropout_acts_in_training_only():
    network = small(dropout=0.5, attention_dropout=0.5)
    x = torch.randn(2, 1, 64)
    assert torch.equal(network(x), network(x))
    network.train()
    assert not torch.equal(network(x), network(x))


def test_outputs_are_full_precision_under_autocast():
    network, x = small(n_outputs=2), torch.randn(3, 1, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = network(x)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, network(x), rtol=0.1, atol=0.02)


def test_double_precision():
    network = small(position="rope").double()
    assert network(torch.randn(2, 1, 64, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("position", ["learned", "rope"])
def test_the_whole_network_is_one_graph(position):
    network = small(position=position)
    compiled = torch.compile(network, fullgraph=True, backend="eager")  # raises at a graph break
    x = torch.randn(3, 1, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(compiled(x), network(x))


@pytest.mark.parametrize(("position", "pooling"), [("learned", "mean"), ("rope", "cls")])
def test_few_spectra_are_in_the_layers_at_once_without_gradients(position, pooling):
    network, seen = small(position=position, pooling=pooling), []
    network.layers[0].register_forward_pre_hook(lambda layer, given: seen.append(len(given[0])))
    x = torch.randn(21, 1, 64)
    whole = network(x)
    assert seen == [21]
    with torch.no_grad():
        parts, nothing = network(x), network(x[:0])
    assert seen[1:] == [8, 8, 5, 0] and nothing.shape == whole[:0].shape
    torch.testing.assert_close(parts, whole)


def test_compiled_layers_take_all_spectra_at_once():
    """Else each part is compiled by itself: a batch of 256 had each layer 32 times."""
    network, calls = small(depth=3), []

    def backend(graph, given):
        targets = [node.target for node in graph.graph.nodes]
        calls.append(targets.count(F.scaled_dot_product_attention))
        return graph.forward

    x = torch.randn(21, 1, 64)
    with torch.no_grad():
        found = torch.compile(network, fullgraph=True, backend=backend)(x)
        torch.testing.assert_close(found, network(x))
    assert calls == [3]
