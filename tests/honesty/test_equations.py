"""Linear equations of fits, against derivatives by autograd in float64; the kernels against the plain way."""

from inspect import getsource

import pytest
import torch

from specvit.honesty.equations import Equations, Linearised


def made(b=3, n=300, shared=True, seed=0):
    """A model of b spectra, float32, some of whose pixels are masked."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape):
        return torch.randn(shape, generator=generator)

    x = torch.linspace(-1, 1, n)
    polynomials = torch.stack([torch.cos(k * torch.acos(x)) for k in range(8)])
    polynomials = polynomials.expand(1 if shared else b, 8, n) * (1 if shared else 1 + 0.1 * noise(b, 1, 1))
    root = 20 + noise(b, n)
    root[:, 40:60] = 0
    coefficients = torch.eye(8)[:1] + 0.05 * noise(b, 8)
    factors = torch.rand(b, 3, generator=generator) + 0.5
    pixels = 0.3 * noise(b, n) - 0.3, noise(b, n), noise(b, n), noise(b, 5, n)
    return Linearised(root * (1 + 0.3 * noise(b, n)), root, *pixels, factors, polynomials, coefficients)


def model_at(m, parameters):
    """The model over the errors (b, n) in float64 at parameters (b, 16) away from where it is linearised."""
    m = Linearised(*(x.double() for x in m))
    strength, shift, width = m.factors[..., None].unbind(1)
    p = parameters.double()[..., None]
    depth = m.depth + p[:, 0] * shift * m.by_shift + p[:, 1] * width * m.by_width
    depth = depth + (p[:, 3:8] * m.slopes).sum(1)
    curve = ((m.coefficients + p[:, 8:, 0])[..., None] * m.polynomials).sum(1)
    return curve * m.root * (1 + (strength + p[:, 2]) * depth)


def derivatives(model):
    """Residuals (b, n) and derivatives (b, 16, n) in float64, by autograd."""
    at = torch.zeros(len(model.depth), 16, dtype=torch.float64)
    every = torch.autograd.functional.jacobian(lambda p: model_at(model, p), at)  # (b, n, b, 16)
    rows = torch.stack([every[k, :, k].T for k in range(len(at))])
    return model.whitened.double() - model_at(model, at), rows


def close(found, expected, atol, rtol=1e-5):
    torch.testing.assert_close(found.double(), expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("shared", [True, False])
def test_equations_are_those_of_the_derivatives(shared):
    model, found = made(shared=shared), Equations(made(shared=shared))
    residual, rows = derivatives(model)
    close(found.residual, residual, 1e-4)
    gram, gradient = rows @ rows.mT, (rows @ residual[..., None])[..., 0]
    size = gram.diagonal(dim1=1, dim2=2).sqrt()
    both = size[:, :, None] * size[:, None]
    close(found.gram / both, gram / both, 2e-6)
    close(found.gradient / size, gradient / size, 1e-3)
    steps = torch.randn(3, 2, 16, generator=torch.Generator().manual_seed(1))
    close(found.residuals_after(steps), residual[:, None] - steps.double() @ rows, 1e-3)


def test_their_step_is_that_of_least_squares():
    model = made()
    found = Equations(model)
    step = torch.linalg.solve(found.gram.double(), found.gradient.double())
    left = found.residuals_after(step[:, None].float())[:, 0]
    for k, (residual, rows) in enumerate(zip(*derivatives(model), strict=True)):
        best = torch.linalg.lstsq(rows.T, residual[:, None]).solution[:, 0]
        close(left[k], residual - best @ rows, 1e-2, 1e-4)


@pytest.mark.kernels
def test_kernels_give_the_same_equations(interpreted):
    interpreted(
        f"import torch\nfrom specvit.honesty.equations import Equations, Linearised\n{getsource(made)}"
        + """
from specvit.honesty.equationkernel import normal_equations, residuals_after
for b, n, shared in ((3, 300, True), (2, 128, False), (1, 1024, True)):
    model, steps = made(b, n, shared), torch.randn(b, 2, 16)
    plain = Equations(model)
    residual, gradient, gram = normal_equations(*model)
    size = plain.gram.diagonal(dim1=1, dim2=2).sqrt()
    assert (residual - plain.residual).abs().max() < 1e-4 * plain.residual.abs().max()
    assert ((gram - plain.gram) / size[:, :, None] / size[:, None]).abs().max() < 2e-6
    assert ((gradient - plain.gradient) / size).abs().max() < 1e-3
    found = residuals_after(*model, plain.residual, steps)
    expected = plain.residuals_after(steps)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
try:
    normal_equations(*model[:5], model.slopes[:, :4], *model[6:])
except ValueError as error:
    assert "slopes" in str(error)
else:
    raise AssertionError("four slopes were taken")
"""
    )
