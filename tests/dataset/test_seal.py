"""Damage of data sets is found before a number of them is used."""

import random

import h5py
import numpy as np
import pytest
import torch

from specvit import Survey
from specvit.dataset import SpectrumDataset, write_dataset
from specvit.dataset.layout import ARRAYS
from specvit.dataset.seal import BLOCK, check_seal, seal
from specvit.grid import PixelGrid
from specvit.stars import Emulator, regrid_emulator
from specvit.survey import SNRNoise


@pytest.fixture(scope="module")
def survey():
    grid = PixelGrid.linear(8400, 8800, 64, 2.0)
    return Survey(
        n=None,
        prior=Survey("paper").prior,
        noise=SNRNoise((20, 200)),
        emulator=regrid_emulator(Emulator.load(), grid),
        masked=[(8500, 8520)],
        seed=1,
    )


@pytest.fixture
def path(survey, tmp_path):
    return write_dataset(survey, tmp_path / "small.h5", 12, progress=False)[0]


def read_all(path):
    """Everything that a data set gives."""
    dataset = SpectrumDataset(path)
    stored = dataset[:]
    batch = next(iter(dataset.frozen(12)))
    dataset.close()
    return stored, batch, dataset.column("mag")


def flipped(whole, position):
    content = bytearray(whole)
    content[position // 8] ^= 1 << position % 8
    return bytes(content)


@pytest.mark.parametrize("n", [400, pytest.param(10_000, marks=pytest.mark.slow)])
def test_every_flipped_bit_is_found(path, n):
    whole = path.read_bytes()
    for position in random.Random(n).sample(range(8 * len(whole)), n):
        path.write_bytes(flipped(whole, position))
        with pytest.raises(ValueError, match=r"small\.h5: (damaged|truncated)"):
            read_all(path)
    path.write_bytes(whole)
    read_all(path)


def test_every_flipped_bit_of_the_seal_is_found(path):
    whole = path.read_bytes()
    used = len(whole[:BLOCK].rstrip(b"\0"))
    for position in [*range(0, 8 * used, 3), *range(8 * used, 8 * BLOCK, 97)]:
        path.write_bytes(flipped(whole, position))
        with pytest.raises(ValueError, match=r"small\.h5: (damaged|truncated)"):
            check_seal(path)


@pytest.mark.parametrize("name", ["flux", "error", "error_noiseless", "mask"])
def test_a_flip_in_each_array(path, name):
    """It is found when that array is read, and named."""
    with h5py.File(path) as file:
        first = file[ARRAYS[name]].id.get_offset()
    path.write_bytes(flipped(path.read_bytes(), 8 * first + 77))
    dataset = SpectrumDataset(path)
    assert np.isfinite(dataset.read_labels()).all()  # the table is another part, which is whole
    with pytest.raises(ValueError, match=f"damaged, '{ARRAYS[name]}' is not as it was written"):
        dataset[:1]


@pytest.mark.parametrize("keep", [0, 100, 511, 512, 2000, -1])
def test_truncated(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"small\.h5: (damaged|truncated)"):
        SpectrumDataset(path)


def test_a_damaged_shard_is_written_again(survey, tmp_path):
    (path,) = write_dataset(survey, tmp_path / "a.h5", 12, progress=False)
    whole = path.read_bytes()
    stored = read_all(path)
    for position in (8 * 40, 8 * (len(whole) - 100)):  # in the seal, and behind it
        path.write_bytes(flipped(whole, position))
        write_dataset(survey, tmp_path / "a.h5", 12, progress=False)
        for one, other in zip(read_all(path)[1], stored[1], strict=True):
            assert torch.equal(one, other)


def test_files_before_the_seal_have_their_arrays_checked(path):
    """They hold checksums, but no seal."""
    plain = path.with_name("plain.h5")
    with h5py.File(path) as old, h5py.File(plain, "w") as new:
        for name in old:
            old.copy(name, new)
        first = new[ARRAYS["flux"]].id.get_offset()
    assert not check_seal(plain)
    np.testing.assert_array_equal(read_all(plain)[0].flux, read_all(path)[0].flux)
    plain.write_bytes(flipped(plain.read_bytes(), 8 * first + 5))
    with pytest.raises(ValueError, match="flux/value' is not as it was written"):
        read_all(plain)


def test_other_readers_skip_the_seal(path):
    pandas = pytest.importorskip("pandas")
    table = pandas.read_hdf(path, key="dataset/params")
    np.testing.assert_array_equal(table["log_g"], SpectrumDataset(path).column("log_g"))


def test_a_seal_that_does_not_fit(tmp_path):
    (tmp_path / "a").write_bytes(bytes(2000))
    with pytest.raises(ValueError, match="a seal must fit 512 bytes"):
        seal(tmp_path / "a", [(600, 1)] * 100)
