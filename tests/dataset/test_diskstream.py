"""Errors that a stream estimates from the scatter of noisy spectra, where the files hold none."""

import numpy as np
import pytest
import torch

from specvit.dataset.diskstream import scatter
from specvit.survey import Survey


@pytest.fixture(scope="module")
def noiseless():
    """Spectra of cool stars, of median 1, at the resolution and sampling of PFS."""
    flux = Survey("paper", seed=5).draw(300, stream=3, magnitude=20.0).noiseless
    return flux / flux.median(1, keepdim=True).values


@pytest.mark.parametrize(("snr", "bias"), [(5, 0.005), (30, 0.005), (100, 0.02), (300, 0.12)])
def test_errors_are_those_of_the_noise(noiseless, snr, bias):
    """Lines leave little in fourth differences: the docstring says how much at S/N 100 and 300."""
    noise = torch.randn(noiseless.shape, generator=torch.Generator().manual_seed(1)) / snr
    found = scatter(noiseless + noise, torch.ones(noiseless.shape[1]))
    ratio = found[:, 0] * snr
    assert abs(float(ratio.median()) - 1) < bias
    assert (found == found[:, :1]).all()


def test_the_template_gives_the_shape():
    template = torch.linspace(1, 3, 2000)
    noise = 0.2 * template * torch.randn(200, 2000, generator=torch.Generator().manual_seed(2))
    found = scatter(noise, template)
    assert float((found / template).median()) == pytest.approx(0.2, rel=0.01)
    assert torch.allclose(found / found[:, :1], (template / template[0]).expand_as(found))


def test_bad_pixels_do_not_count():
    generator = torch.Generator().manual_seed(3)
    flux, mask = torch.randn(4, 500, generator=generator), torch.rand(4, 500, generator=generator) < 0.3
    spoilt = flux.masked_fill(mask, 1e6)
    template = torch.ones(500)
    assert torch.equal(scatter(spoilt, template, mask), scatter(flux, template, mask))
    good = ~np.stack([mask[:, k : 496 + k].numpy() for k in range(5)]).any(0)
    difference = np.stack([a * flux[:, k : 496 + k].numpy() for k, a in enumerate((1, -4, 6, -4, 1))]).sum(0)
    for row, (d, g) in enumerate(zip(difference, good, strict=True)):
        expected = np.median(np.abs(d[g])) * 1.4826 / np.sqrt(70)
        assert float(scatter(flux, template, mask)[row, 0]) == pytest.approx(expected, rel=0.03)


def test_a_spectrum_without_a_good_difference_has_the_error_of_the_template():
    mask = torch.ones(1, 50, dtype=torch.bool)
    template = torch.linspace(1, 2, 50)
    assert torch.equal(scatter(torch.ones(1, 50), template, mask)[0], template)
    with pytest.raises(ValueError, match="flux must have at least 5 pixels to show its scatter, got 4"):
        scatter(torch.ones(1, 4), torch.ones(4))
