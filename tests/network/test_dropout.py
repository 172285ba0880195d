"""Dropout of compiled networks: products of random numbers against binomial draws and torch's own dropout."""

import numpy as np
import pytest
import torch
import torch._inductor.config
import torch.nn.functional as F

from specvit.network import ViTConfig
from specvit.network.dropout import Dropout
from specvit.network.vit import EncoderLayer


def compiled(rate):
    """The way of compiled networks, without generating code, which takes long."""
    return torch.compile(Dropout(rate), backend="eager", fullgraph=True)


@pytest.fixture(params=[0.1, 0.5], scope="module")
def drawn(request):
    """Whether values of 128 columns are kept, less what is expected, in units of one σ."""
    torch.manual_seed(0)
    rate, x = request.param, torch.ones(64, 512, 128)
    y = compiled(rate)(x)
    kept = y != 0
    torch.testing.assert_close(y[kept], torch.full_like(y[kept], 1 / (1 - rate)))
    return (kept.flatten(0, 1).double().numpy() - (1 - rate)) / np.sqrt(rate * (1 - rate))


def test_rows_and_columns_are_dropped_as_often_as_by_chance(drawn):
    for axis in (0, 1):
        z = drawn.sum(axis) / np.sqrt(drawn.shape[axis])
        assert abs((z**2).mean() - 1) < 4 * np.sqrt(2 / len(z)) and np.abs(z).max() < 5.5
    assert abs(drawn.mean()) * np.sqrt(drawn.size) < 4  # and so is the whole: the expectation is kept


def test_pairs_of_rows_or_of_columns_agree_as_often_as_by_chance(drawn):
    """Of columns, which exclusive-or of row and column before a product correlates, and of rows."""
    for x in (drawn, drawn[:512].T):
        z = (x.T @ x)[np.triu_indices(x.shape[1], 1)] / np.sqrt(len(x))
        assert abs((z**2).mean() - 1) < 4 * np.sqrt(2 / len(z))
    for lag in (1, 2, 8, 64):
        for one, other in ((drawn[lag:], drawn[:-lag]), (drawn[:, lag:], drawn[:, :-lag])):
            assert abs((one * other).mean()) * np.sqrt(one.size) < 4


@pytest.mark.parametrize("bits", [10, 13])
def test_few_pairs_of_numbers_are_correlated(bits):
    """Of all ratios of two numbers; in fewer bits as many correlate, of 2³¹ that there are in 32."""
    odd, rate = np.arange(1, 2**bits, 2), 0.1
    low = odd < rate * 2**bits
    both = (odd[:, None] * odd[low] % 2**bits < rate * 2**bits).sum(1) / len(odd)
    share = low.mean()
    correlation = (both - share**2) / (share * (1 - share))
    assert correlation[0] == pytest.approx(1)  # the same number twice
    assert 40 < (np.abs(correlation) > 0.05).sum() < 1e-7 * 2**31


def test_corners_of_rectangles_are_independent(drawn):
    """Numbers of rows and columns could tie the fourth to the other three, as they do where added."""
    rng = np.random.default_rng(0)
    rows = rng.permuted(np.tile(np.arange(len(drawn)), (64, 1)), axis=1)
    r, s = rows[:32].ravel(), rows[32:].ravel()
    c = rng.integers(0, drawn.shape[1], r.shape)
    d = (c + rng.integers(1, drawn.shape[1], r.shape)) % drawn.shape[1]
    z = (drawn[r, c] * drawn[r, d] * drawn[s, c] * drawn[s, d])[r != s]
    assert abs(z.mean()) * np.sqrt(z.size) < 4


def test_a_value_is_dropped_by_the_documented_product():
    torch.manual_seed(5)
    found = compiled(0.3)(torch.ones(3, 7, 40))
    torch.manual_seed(5)
    given = [torch.randint(-(2**31), 2**31, size, dtype=torch.int32) for size in ((3, 7, 1), (40,))]
    rows, columns = (x.numpy().astype(object) | 1 for x in given)  # Python's integers do not overflow
    product = (rows * columns + 2**31) % 2**32
    np.testing.assert_array_equal(found == 0, (product < int(0.3 * 2**32)).astype(bool))


def test_gradient_is_dropped_where_the_value_is():
    x = torch.randn(4, 9, 64, requires_grad=True)
    y = compiled(0.25)(x)
    y.backward(torch.ones_like(y))
    assert 0.15 < (y == 0).double().mean() < 0.35
    torch.testing.assert_close(x.grad, torch.where(y == 0, 0.0, 1 / 0.75))
    torch.testing.assert_close(y.detach(), x.detach() * x.grad)


def test_calls_differ_and_a_seed_repeats_them():
    dropout, x = Dropout(0.5), torch.ones(4, 16, 32)

    @torch.compile(backend="aot_eager", fullgraph=True)  # which joins equal operations
    def twice(x):
        return dropout(x), dropout(x)

    torch.manual_seed(1)
    first, second = twice(x), twice(x)
    masks = [y != 0 for y in (*first, *second)]
    for number, one in enumerate(masks):
        for other in masks[:number]:
            assert abs((one == other).double().mean() - 0.5) < 4 * 0.5 / x.numel() ** 0.5
    torch.manual_seed(1)
    for y, again in zip(first, twice(x), strict=True):
        torch.testing.assert_close(y, again, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_precision_stays(dtype):
    assert compiled(0.5)(torch.ones(2, 3, 4, dtype=dtype)).dtype == dtype


def test_it_is_plain_dropout_unless_compiled_and_nothing_without_training():
    x, dropout = torch.randn(2, 5, 8), Dropout(0.4)
    torch.manual_seed(2)
    expected = F.dropout(x, 0.4)
    torch.manual_seed(2)
    torch.testing.assert_close(dropout(x), expected, rtol=0, atol=0)
    state = torch.get_rng_state()
    assert compiled(0.0)(x).equal(x) and compiled(0.4).eval()(x).equal(x)
    assert torch.get_rng_state().equal(state)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:`torch.jit.script_method` is deprecated"
)  # by torch, when first compiling
def test_generated_code_drops_the_same_values_forward_and_backward():
    """The backward pass computes products anew: no mask is kept for it. A layer has two dropouts."""
    config = ViTConfig.reference(width=16, heads=2, mlp=32, dropout=0.3, attention_dropout=0.0)
    torch.manual_seed(0)
    layer, x = EncoderLayer(config).double(), torch.randn(2, 5, 16, dtype=torch.float64)
    found, kept = [], []
    for backend in ("eager", "inductor"):
        layer.zero_grad()
        torch.manual_seed(3)
        kept.clear()
        with (
            torch._inductor.config.patch(fallback_random=True),  # numbers of torch's generator, not its own
            torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x),
        ):
            y = torch.compile(layer, backend=backend, fullgraph=True)(x)
        y.square().sum().backward()
        found.append([y.detach(), *(parameter.grad.clone() for parameter in layer.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
    shapes = [x.shape for x in kept if not x.is_floating_point()]
    assert sorted(shapes) == [(2, 5, 1), (2, 5, 1), (16,), (16,)]
