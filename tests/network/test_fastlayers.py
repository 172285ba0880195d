"""The kernels for GPUs against the plain layers, by Triton's interpreter, which needs no GPU."""

import pytest
import torch

from specvit.network import SpectrumViT, ViTConfig, fastlayers

PLAIN = {"dropout": 0.0, "attention_dropout": 0.0}
#: Runs before each script: the fast way wherever it is asked for, and two small networks.
BEGIN = f"""
import copy
import numpy as np
import torch
from specvit.network import SpectrumViT, ViTConfig, fastlayers
fastlayers._fits = lambda x: True
size = {{"width": 64, "depth": 2, "mlp": 128, "in_channels": 2, "n_outputs": 3}}
configs = [
    ViTConfig(n_pixels=512, heads=2, **size),
    ViTConfig.reference(n_pixels=256, heads=4, **size, **{PLAIN!r}),
]
torch.manual_seed(0)
"""


@pytest.mark.kernels
def test_outputs_and_gradients_are_those_of_the_plain_network_in_float64(interpreted):
    """With and without a class token; compiled, too, where the operations stay whole."""
    interpreted(
        BEGIN
        + """
for config in configs:
    network, x = SpectrumViT(config), torch.randn(2, 2, config.n_pixels)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    exact, grad = copy.deepcopy(network).double(), torch.randn(2, 3)
    fits, fastlayers._fits = fastlayers._fits, lambda x: False
    expected = exact(x.double())
    expected.backward(grad.double())
    fastlayers._fits = fits
    for one in (network, torch.compile(network, backend="aot_eager", fullgraph=True)):
        network.zero_grad()
        found = one(x)
        assert (found - expected).abs().max() < 2e-6
        found.backward(grad)
        for a, b in zip(network.parameters(), exact.parameters(), strict=True):
            assert (a.grad - b.grad).norm() < 3e-6 * b.grad.norm()
"""
    )


@pytest.mark.kernels
def test_dropout_drops_the_same_weights_forward_and_backward(interpreted):
    """Against plain attention with the mask that the documented products give."""
    interpreted(
        BEGIN
        + """
from specvit.network.attentionkernels import attention_backward, attention_forward

n, heads, d, p = 2, 2, 16, 0.25
for t in (64, 65):
    factors = 2 * np.random.default_rng(t).integers(-(2**30), 2**30, t + n * heads * t) + 1
    columns, rows = factors[:t], factors[t:]
    kept = (rows[:, None] * columns + 2**31) % 2**32 >= p * 2**32
    factors = torch.as_tensor(factors, dtype=torch.int32)
    assert abs(kept.mean() - 0.75) < 0.02
    kept = torch.as_tensor(kept).view(n, heads, t, t)
    x = torch.randn(n, t, 3 * heads * d, dtype=torch.float64, requires_grad=True)
    q, k, v = x.view(n, t, 3, heads, d).permute(2, 0, 3, 1, 4).unbind(0)
    weights = torch.softmax(q @ k.mT / d**0.5, -1) * kept / (1 - p)
    expected, grad = (weights @ v).transpose(1, 2).reshape(n, t, -1), torch.randn(n, t, heads * d)
    (slope,) = torch.autograd.grad(expected, x, grad.double())
    given = x.detach().float()
    out, norm = attention_forward(given, factors, heads, p)
    found, sums = attention_backward(given, out, norm, grad, factors, heads, p)
    assert (out - expected).abs().max() < 2e-6 and (found - slope).abs().max() < 2e-6
    assert (sums - slope.sum(1)).abs().max() < 1e-4
"""
    )


@pytest.mark.kernels
def test_attention_draws_anew_in_training_only(interpreted):
    interpreted(
        BEGIN
        + """
network = SpectrumViT(ViTConfig.reference(n_pixels=256, heads=4, **size, dropout=0.0))
x = torch.randn(2, 2, 256)
torch.manual_seed(1)
first, second = network(x), network(x)
torch.manual_seed(1)
assert first.equal(network(x)) and not first.equal(second)
state = torch.get_rng_state()
assert network.eval()(x).equal(network(x)) and torch.get_rng_state().equal(state)
"""
    )


@pytest.mark.kernels
def test_gelu_of_a_prediction_is_close_where_half_precision_rounds(interpreted):
    """Over all values, by the logistic function that stands for the normal distribution."""
    interpreted(
        BEGIN
        + """
from specvit.network.mlpkernels import linear_gelu

half = {"dtype": torch.float16}
x = torch.zeros(64, 64, **half)
x[:, 0], x[:, 1] = torch.linspace(-12, 12, 64), 1
weight, bias = torch.zeros(128, 64, **half), torch.zeros(128, **half)
weight[:, 0], weight[:, 1] = torch.linspace(0.01, 1, 128), torch.linspace(-0.3, 0.3, 128)
after, before = linear_gelu(x, weight, bias, keep=False)
z = x.double() @ weight.double().T
exact = torch.nn.functional.gelu(z)
assert before is None
assert ((after - exact).abs() < 3e-5 + 2**-11 * exact.abs()).all()
x[:, 0] = torch.tensor([-1e4, 1e4, torch.nan, 0]).repeat(16)
after = linear_gelu(x, weight, bias, keep=False)[0]
assert (after[0] == 0).all() and (after[1] > 90).all() and after[2].isnan().all()
"""
    )


@pytest.mark.kernels
def test_more_tokens_than_a_grid_has_places_for_are_taken_in_parts(interpreted):
    """A GPU refuses 16,384 spectra of 512 tokens in one grid, the interpreter would not."""
    interpreted(
        BEGIN
        + """
from specvit.network import mlpkernels

class Noting:
    def __init__(self, kernel):
        self.kernel, self.grids = kernel, []

    def __getitem__(self, grid):
        self.grids.append(grid)
        return self.kernel[grid]

mlpkernels._forward = noting = Noting(mlpkernels._forward)
x, weight, bias = torch.randn(300, 64), torch.randn(128, 64) / 8, torch.randn(128)
z = x.double() @ weight.double().T + bias
for most in (65_535, 2):
    mlpkernels._MOST_TILES = most
    after, before = mlpkernels.linear_gelu(x, weight, bias)
    assert (before - z).abs().max() < 1e-5
    assert (after - torch.nn.functional.gelu(z)).abs().max() < 1e-5
assert noting.grids == [(1, 3), (1, 2), (1, 1)]
"""
    )


@pytest.mark.kernels
def test_prediction_by_kernels_is_that_of_the_network(interpreted):
    interpreted(
        BEGIN
        + """
from specvit.network.reduced import ReducedViT

for config in configs:
    network, x = SpectrumViT(config).eval(), torch.randn(3, 2, config.n_pixels)
    fits, fastlayers._fits = fastlayers._fits, lambda x: False
    with torch.no_grad():
        expected = network(x)
    fastlayers._fits = fits
    for dtype, most in ((torch.float32, 1e-6), (torch.float16, 2e-3)):
        assert (ReducedViT(network, dtype)(x) - expected).abs().max() < most * expected.abs().max()
"""
    )


def test_a_processor_goes_the_plain_way():
    x = torch.zeros(2, 128, 256, dtype=torch.bfloat16)
    assert not fastlayers.fits_attention(x, 4, 256) and not fastlayers.fits_mlp(x, 1024)


@pytest.mark.parametrize(
    ("tokens", "heads", "fits"),
    [(128, 4, True), (257, 8, True), (257, 4, False), (100, 4, False), (130, 4, False), (512, 8, False)],
)
def test_which_sequences_fit(monkeypatch, tokens, heads, fits):
    """Powers of two, or one more, that one program can hold."""
    monkeypatch.setattr(fastlayers, "_fits", lambda x: True)
    assert fastlayers.fits_attention(torch.zeros(1, tokens, 256), heads, 256) is fits


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_on_a_gpu_in_half_precision():
    torch.manual_seed(0)
    network = SpectrumViT(ViTConfig.reference(in_channels=2, depth=2, **PLAIN)).cuda()
    x = torch.randn(16, 2, 4096, device="cuda")
    outputs, slopes = [], []
    for fastlayers.ENABLED in (True, False):
        network.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            outputs.append(network(x))
        outputs[-1].sum().backward()
        slopes.append(network.layers[0].attention.qkv.weight.grad.clone())
    fastlayers.ENABLED = True
    torch.testing.assert_close(*outputs, rtol=0.05, atol=0.02)
    assert (slopes[0] - slopes[1]).norm() < 0.05 * slopes[1].norm()


@pytest.mark.kernels
def test_kernels_start_on_the_device_of_their_tensors(interpreted):
    """Triton takes the current one, which need not be that of a network on the second GPU."""
    interpreted(
        BEGIN
        + """
from specvit.honesty.equationkernel import normal_equations, residuals_after
from specvit.honesty.samplekernel import weighted_sums
from specvit.network import attentionkernels, mlpkernels, normkernels, rowkernels
entered = []

class Noting(torch.cuda.device_of):
    def __init__(self, x):
        self.x = x
        super().__init__(x)

    def __enter__(self):
        entered.append(self.x)
        return super().__enter__()

torch.cuda.device_of = Noting
flux, ivar, one = torch.rand(2, 64) + 1, torch.ones(2, 64), torch.ones(64)
qkv, factors = torch.randn(2, 16, 192), torch.zeros(1, dtype=torch.int32)
out, norm = attentionkernels.attention_forward(qkv, factors, 2, 0.0)
x, weight = torch.randn(8, 64), torch.randn(128, 64)
after, before = mlpkernels.linear_gelu(x, weight, torch.zeros(128))
pixels = [flux.clone() for _ in range(4)]
model = flux, *pixels, torch.ones(2, 5, 64), torch.ones(2, 3), torch.ones(1, 8, 64), torch.ones(2, 8)
calls = [
    (attentionkernels.attention_backward, qkv, out, norm, torch.ones_like(out), factors, 2, 0.0),
    (mlpkernels.gelu_gradient, x, weight.T.contiguous(), before),
    (normkernels.add_norm, x, None, one, one, 1e-5, torch.float32),
    (rowkernels.medians, flux, ivar > 0),
    (rowkernels.cleaned, flux, ivar, (1e-30, 1e30)),
    (rowkernels.encoded, flux, ivar, 2, (None, None), (0.2, 2.0, -2.0, 1.5)),
    (rowkernels.snr_and_coverage, flux, ivar),
    (weighted_sums, flux, torch.zeros(2, 5, dtype=torch.int64), torch.ones(2, 5)),
    (normal_equations, *model),
    (residuals_after, *model, flux, torch.ones(2, 1, 16)),
]
assert entered[0] is qkv and entered[1] is x
for function, *given in calls:
    entered.clear()
    function(*given)
    assert [one is given[0] for one in entered] == [True], function
"""
    )
