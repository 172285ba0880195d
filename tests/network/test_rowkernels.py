"""Kernels for whole spectra against the plain lines of torch, by Triton's interpreter, which needs no GPU."""

import pytest

pytestmark = pytest.mark.kernels
#: 12 spectra of 300 pixels with all that may go wrong, and a call of the kernels where a GPU would have them.
BEGIN = """
import torch
from specvit.network import inputs, rowkernels, tensors
from specvit.network.inputs import encode, masked_median, snr_and_coverage
torch.manual_seed(0)
flux = 1 + 0.2 * torch.randn(12, 300)
ivar = 10 ** (4 * torch.rand(12, 300))
flux[0, :30], flux[1, 5], flux[2], flux[3] = torch.nan, torch.inf, -1.0, 0.0
ivar[1, ::2], ivar[4, :299], ivar[5], ivar[6, 9], ivar[7, 8], ivar[8, 7] = 0, 0, 0, -1, torch.inf, torch.nan
flux[9, 1:] = torch.nan
flux[10, 50], ivar[11] = 1e6, 1e-8

def both(function, *arguments):
    plain = function(*arguments)
    own, inputs.by_rows = inputs.by_rows, lambda *x, dtypes=None: rowkernels
    tensors.by_rows = inputs.by_rows
    found = function(*arguments)
    inputs.by_rows = tensors.by_rows = own
    return plain, found
"""


def test_medians_are_exact(interpreted):
    interpreted(
        BEGIN
        + """
for mask in (torch.rand(12, 300) < 0.5, torch.ones(12, 300).bool(), torch.rand(12, 300) < 0.01):
    for values in (torch.randn(12, 300), torch.randint(-3, 3, (12, 300)).float(), torch.randn(300, 12).T):
        plain, found = both(masked_median, values, mask)
        assert torch.equal(plain.isnan(), found.isnan()) and torch.equal(plain.isnan()[:, 0], ~mask.any(1))
        assert torch.equal(plain.nan_to_num(9), found.nan_to_num(9))
"""
    )


def test_spectra_are_encoded_and_described_as_by_torch(interpreted):
    interpreted(
        BEGIN
        + """
lsf, sampling = torch.rand(12, 300), torch.rand(12)
for encoding in ("weighted", "instrument"):
    for told in ((None, None), (lsf, sampling), (None, lsf), (sampling, None)):
        (x, valid), (found, same) = both(encode, flux, ivar, encoding, *told)
        assert torch.equal(valid, same) and found.isfinite().all()
        assert (x - found)[valid].abs().max() < 2e-5
        assert x.shape == found.shape
(snr, coverage), (found, same) = both(snr_and_coverage, flux, ivar)
assert torch.equal(snr.isnan(), found.isnan()) and torch.equal(coverage, same)
assert torch.allclose(snr.nan_to_num(0), found.nan_to_num(0), rtol=1e-6)
"""
    )


def test_spectra_are_cleaned_as_by_torch(interpreted):
    interpreted(
        BEGIN
        + """
for scale in (1.0, 1e-17):
    for dtype in (torch.float32, torch.float64):
        if scale < 1 and dtype == torch.float32:
            continue  # whose inverse variances it cannot hold
        given = (flux.to(dtype) * scale, ivar.to(dtype) / scale**2)
        plain, found = both(tensors.cleaned, *given)
        for a, b in zip(plain, found):
            assert a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=1e-5)
        assert plain[0].dtype == found[0].dtype == torch.float32 == found[1].dtype
"""
    )
