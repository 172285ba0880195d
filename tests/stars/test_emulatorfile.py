"""Files of emulators: damage is found, and every field is checked."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

import specvit
from specvit.archive import read_archive, write_archive
from specvit.grid import PFS_MR
from specvit.labels import LABELS
from specvit.stars import Emulator

SHIPPED = Path(specvit.__file__).parent / "data" / "emulator_pfs_mr.safetensors"
KIND = "specvit-emulator-1"


def rewritten(path, change):
    """The shipped emulator, changed, with a digest that is right."""
    archive = read_archive(SHIPPED, KIND)
    found = {"tensors": dict(archive.tensors), "fields": dict(archive.fields), "grid": archive.grid}
    change(found)
    write_archive(path, KIND, found["tensors"], found["fields"], found["grid"])


def tensor(name, change):
    def put(found):
        found["tensors"][name] = change(found["tensors"][name].clone())

    return put


def last_is(value):
    def change(values):
        values.view(-1)[-1] = value
        return values

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f["fields"].update(labels=["logg", "teff", *LABELS[2:]]), "must be of the labels .*order"),
        (lambda f: f["fields"].update(labels=None), "must be of the labels"),
        (lambda f: f["fields"].pop("labels"), "lacks a part of an emulator .'labels'"),
        (lambda f: f["fields"].update(record=None), "must have a grid and a record, got .* and NoneType"),
        (lambda f: f.update(grid=None), "must have a grid and a record, got None"),
        (lambda f: f["tensors"].pop("mean"), "lacks a part of an emulator .'mean'"),
        (tensor("mean", last_is(float("nan"))), "finite numbers, got others in mean"),
        (tensor("module.networks.0.0.weight", last_is(float("inf"))), "finite numbers, got others in net"),
        (tensor("wave", lambda wave: wave.flip(0)), "strictly increasing wavelengths, got others in wave"),
        (tensor("continuum_wave", lambda wave: -wave), "got others in continuum_wave"),
        (tensor("mean", lambda mean: mean[:-1]), "a mean and components for each of its wave"),
        (tensor("continuum_components", lambda c: c.T.contiguous()), "for each of its continuum_wave"),
        (tensor("module._scale", last_is(-1.0)), "no negative scale, got one in _scale"),
        (tensor("module.label_range", lambda limits: limits.flip(0)), "a lowest and a higher highest"),
        (tensor("module.label_range", lambda limits: limits[:, :4]), "a lowest and a higher highest"),
        (lambda f: f["tensors"].pop("module._scale"), "lacks a part of an emulator"),
        (tensor("components", lambda components: components[:-1]), "lacks a part of an emulator"),
    ],
)
def test_every_field_is_checked(tmp_path, change, message):
    rewritten(tmp_path / "bad", change)
    with pytest.raises(ValueError, match=f"emulator: .*bad .*{message}"):
        Emulator.load(tmp_path / "bad")


def test_rewritten_it_is_the_same(tmp_path):
    rewritten(tmp_path / "good", lambda found: None)
    sun = torch.tensor([[5772.0, 4.44, 0.0, 0.0, 0.0]])
    emulator = Emulator.load(tmp_path / "good")
    assert emulator.grid == PFS_MR
    np.testing.assert_array_equal(emulator(sun), Emulator.load()(sun))


def test_flipped_bits(tmp_path):
    whole, chosen = SHIPPED.read_bytes(), random.Random(0)
    header = 8 + int.from_bytes(whole[:8], "little")
    for position in [*chosen.sample(range(8 * header), 8), *chosen.sample(range(8 * len(whole)), 8)]:
        content = bytearray(whole)
        content[position // 8] ^= 1 << position % 8
        (tmp_path / "flipped").write_bytes(content)
        with pytest.raises(ValueError, match=r"emulator: .*flipped "):
            Emulator.load(tmp_path / "flipped")
