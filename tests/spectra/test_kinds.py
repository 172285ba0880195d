"""What was given is decided in one place; a batch and a tensor are taken like the array they hold."""

import subprocess
import sys

import astropy.units as u
import numpy as np
import pytest
import torch
from specutils import Spectrum, SpectrumCollection, SpectrumList

from specvit.grid import PFS_MR, PixelGrid
from specvit.spectra import Flag, SpectrumBatch, SpectrumError, adapt
from specvit.spectra.kinds import Kind, kind_of


@pytest.fixture(scope="module")
def spectrum():
    return Spectrum(flux=np.ones(5) * u.one, spectral_axis=np.arange(5.0, 10) * u.AA, mask=np.zeros(5, bool))


def test_kinds(spectrum):
    axis = np.tile(np.arange(5.0, 10), (2, 1)) * u.AA
    objects = np.empty(2, dtype=object)
    objects[:] = [spectrum, spectrum]
    expected = {
        Kind.SPECTRUM: [spectrum],
        Kind.COLLECTION: [SpectrumCollection(flux=np.ones((2, 5)) * u.one, spectral_axis=axis)],
        Kind.SEQUENCE: [[spectrum], (spectrum,), SpectrumList([spectrum]), objects, [1.0, spectrum]],
        Kind.BATCH: [SpectrumBatch.empty((2,), PFS_MR)],
        Kind.ARRAY: [np.ones((2, 5)), np.ones(5), [[1.0, 2.0]], [], torch.ones(5), "text", None, {}],
    }
    for kind, examples in expected.items():
        assert [kind_of(example) for example in examples] == [kind] * len(examples)


def test_specutils_is_not_imported_to_tell():
    code = "import sys, numpy as np\nfrom specvit.spectra.kinds import kind_of\n"
    code += "print(kind_of(np.ones(3)).name, kind_of([]).name, 'specutils' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.split() == ["ARRAY", "ARRAY", "False"]


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    flux = rng.normal(1, 0.1, (3, 4096))
    flux[1] *= -1
    return adapt(flux, ivar=np.full(flux.shape, 100.0), on_error="nan", covariance=True)


def test_a_batch_comes_back_as_it_was(batch):
    again = adapt(batch, on_error="nan")
    for name in ("flux", "ivar", "coverage", "flags", "covariance"):
        np.testing.assert_array_equal(getattr(again, name), getattr(batch, name))
        assert getattr(again, name) is not getattr(batch, name)
    assert again.errors == batch.errors and again.errors is not batch.errors and again.shape == (3,)
    assert again.coverage[1] == 1  # as found, though the spectrum was rejected
    with pytest.raises(SpectrumError, match=r"spectra\[1\]: flux must have a positive median"):
        adapt(batch)


def test_a_batch_filled_by_hand_is_judged():
    batch = SpectrumBatch.empty((2, 2), PFS_MR)
    batch.flux[:], batch.ivar[:] = 1.0, 4.0
    batch.ivar[2, :3000] = 0
    batch.flux[3] = -1
    judged = adapt(batch, on_error="nan")
    np.testing.assert_allclose(judged.coverage, [1, 1, 1096 / 4096, 1])
    assert (judged.flags & Flag.UNUSABLE > 0).tolist() == [False, False, True, True]
    assert judged.errors[2].startswith("coverage must be at least") and "positive" in judged.errors[3]
    assert batch.errors == [None] * 4 and not batch.flags.any() and (batch.flux[3] == -1).all()
    with pytest.raises(SpectrumError, match=r"spectra\[1, 0\]: coverage must be at least"):
        adapt(batch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"grid": PixelGrid.linear(7100, 8850, 50, 9.0)},
            "spectra must be on the grid .* got a SpectrumBatch on",
        ),
        ({"medium": "air"}, "medium and resolution are for Spectrum: a SpectrumBatch has those of its grid"),
        ({"resolution": 5000}, "medium and resolution are for Spectrum"),
        ({"ivar": np.ones((2, 4096))}, "ivar is for arrays; a SpectrumBatch carries its own uncertainty"),
        ({"covariance": True}, "covariance must be False for a SpectrumBatch that was made without it"),
    ],
)
def test_what_does_not_go_with_a_batch(options, message):
    with pytest.raises(ValueError, match=message):
        adapt(SpectrumBatch.empty((2,), PFS_MR), **options)


def test_tensors_are_arrays():
    flux = torch.rand(2, 4096, requires_grad=True) + 1
    ivar = torch.full((2, 4096), 25.0)
    found = adapt(flux, ivar=ivar)
    expected = adapt(flux.detach().numpy(), ivar=ivar.numpy())
    np.testing.assert_array_equal(found.flux, expected.flux)
    np.testing.assert_array_equal(found.ivar, expected.ivar)
