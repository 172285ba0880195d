"""Normal equations of fits in one pass on a GPU: derivatives are made, used and forgotten."""

from __future__ import annotations

from specvit.network.kerneldevice import compiled, on_its_device, tl, triton

__all__ = ["normal_equations", "residuals_after"]

_BLOCK = 256  # pixels at once; on an H100 the residuals take a third of the time that they take with 64


@compiled
def _derivatives(
    root, depth, by_shift, by_width, slopes, strength, shift, width, polynomials, c, row, start, n, stride,
    BN: tl.constexpr,
):  # fmt: skip
    """Derivatives (16, BN) of a block of pixels, the sum of polynomials and what it is multiplied by.

    The first three are by shift, width and strength, then come five labels and eight polynomials.
    """
    j, at = tl.arange(0, 16)[:, None], start + tl.arange(0, BN)
    inside = at < n
    r = tl.load(root + row * n + at, mask=inside, other=0.0)
    d = tl.load(depth + row * n + at, mask=inside, other=0.0)
    s = tl.load(by_shift + row * n + at, mask=inside, other=0.0)
    w = tl.load(by_width + row * n + at, mask=inside, other=0.0)
    of_label = (j >= 3) & (j < 8) & inside[None, :]
    values = tl.load(slopes + (row * 5 + j - 3) * n + at[None, :], mask=of_label, other=0.0)
    of_term = (j >= 8) & inside[None, :]
    terms = tl.load(polynomials + row * stride + (j - 8) * n + at[None, :], mask=of_term, other=0.0)
    curve = tl.sum(terms * c[:, None], 0)
    lines = r + strength * r * d
    scale = curve * r
    strong = scale * strength
    values += tl.where(j == 0, (s * shift)[None, :], 0.0) + tl.where(j == 1, (w * width)[None, :], 0.0)
    of_parameter = tl.where(j == 2, (scale * d)[None, :], strong[None, :] * values)
    return tl.where(j < 8, of_parameter, terms * lines[None, :]), curve, lines


@compiled
def _normal_equations(
    whitened, root, depth, by_shift, by_width, slopes, factors, polynomials, coefficients,
    residual, gradient, gram, n, stride, BN: tl.constexpr,
):  # fmt: skip
    row, j = tl.program_id(0).to(tl.int64), tl.arange(0, 16)
    strength, shift = tl.load(factors + row * 3), tl.load(factors + row * 3 + 1)
    width = tl.load(factors + row * 3 + 2)
    c = tl.load(coefficients + row * 8 + j - 8, mask=j >= 8, other=0.0)
    matrix, vector = tl.zeros([16, 16], tl.float32), tl.zeros([16], tl.float32)
    for start in range(0, n, BN):
        at = start + tl.arange(0, BN)
        rows, curve, lines = _derivatives(
            root, depth, by_shift, by_width, slopes, strength, shift, width, polynomials, c, row, start, n,
            stride, BN,
        )  # fmt: skip
        left = tl.load(whitened + row * n + at, mask=at < n, other=0.0) - curve * lines
        tl.store(residual + row * n + at, left, mask=at < n)
        matrix += tl.dot(rows, tl.trans(rows), input_precision="ieee")
        vector += tl.sum(rows * left[None, :], 1)
    tl.store(gram + row * 256 + j[:, None] * 16 + j[None, :], matrix)
    tl.store(gradient + row * 16 + j, vector)


@compiled
def _residuals_after(
    root, depth, by_shift, by_width, slopes, factors, polynomials, coefficients, residual, steps, out,
    n, stride, M: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    row, start, j = tl.program_id(0).to(tl.int64), tl.program_id(1) * BN, tl.arange(0, 16)
    strength, shift = tl.load(factors + row * 3), tl.load(factors + row * 3 + 1)
    width = tl.load(factors + row * 3 + 2)
    c = tl.load(coefficients + row * 8 + j - 8, mask=j >= 8, other=0.0)
    rows, _, _ = _derivatives(
        root, depth, by_shift, by_width, slopes, strength, shift, width, polynomials, c, row, start, n,
        stride, BN,
    )  # fmt: skip
    at = start + tl.arange(0, BN)
    left = tl.load(residual + row * n + at, mask=at < n, other=0.0)
    for m in tl.static_range(M):
        step = tl.load(steps + (row * M + m) * 16 + j)
        tl.store(out + (row * M + m) * n + at, left - tl.sum(rows * step[:, None], 0), mask=at < n)


def _given(model):
    """Tensors as the kernels take them, and how far the polynomials of the next spectrum are."""
    *others, polynomials, coefficients = (x.contiguous() for x in model)
    if polynomials.shape[1] != 8 or others[-2].shape[1] != 5:
        raise ValueError("polynomials must be 8 and slopes 5, as the kernels are made for")
    stride = 0 if len(polynomials) == 1 else polynomials[0].numel()
    return *others, polynomials, coefficients, stride


@on_its_device
def normal_equations(*model):
    """Residual (b, n), gradient (b, 16) and normal matrix (b, 16, 16).

    Parameters
    ----------
    *model : Tensor of float32
        Fields of `specvit.honesty.equations.Linearised`, with five slopes and eight polynomials, on a GPU.
    """
    *tensors, stride = _given(model)
    b, n = tensors[0].shape
    made = [tensors[0].new_empty(shape) for shape in ((b, n), (b, 16), (b, 16, 16))]
    _normal_equations[(b,)](*tensors, *made, n, stride, BN=_BLOCK, num_warps=4)
    return tuple(made)


@on_its_device
def residuals_after(*given):
    """Residuals after linear steps, (b, m, n).

    Parameters
    ----------
    *given : Tensor of float32
        The same fields, the residual before, (b, n), and steps, (b, m, 16).
    """
    *model, residual, steps = given
    _, *tensors, stride = _given(model)
    (b, n), m = residual.shape, steps.shape[1]
    out = residual.new_empty(b, m, n)
    grid = (b, triton.cdiv(n, _BLOCK))
    _residuals_after[grid](
        *tensors, residual, steps.contiguous(), out, n, stride, M=m, BN=_BLOCK, num_warps=4
    )
    return out
