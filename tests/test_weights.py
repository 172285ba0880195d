"""Weights files: what they hold, and what is refused."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import specvit
from specvit.grid import PFS_MR
from specvit.network import LabelRegressor, ViTConfig
from specvit.weights import BUNDLED, list_weights, load_weights, save_weights

DATA = Path(specvit.__file__).parent / "data"

SMALL = ViTConfig(n_pixels=96, width=16, depth=1, heads=2, mlp=32, patch_size=32)


def bundled(name):
    return DATA / f"weights_{name}.safetensors"


@pytest.fixture
def regressor():
    torch.manual_seed(0)
    regressor = LabelRegressor.build(SMALL, ("teff", "logg"))
    regressor.set_label_scaling([5000, 3], [500, 1])
    regressor.set_calibration([1.0, 10.0], [[1.1, 0.9], [1.2, 0.8]])
    return regressor.eval()


def test_round_trip(regressor, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, regressor, grid=PFS_MR, record={"seed": 1})
    again, grid, record = load_weights(path)
    flux, ivar = torch.rand(3, 96) + 1, torch.full((3, 96), 50.0)
    for a, b in zip(regressor.predict(flux, ivar), again.predict(flux, ivar), strict=True):
        assert torch.equal(a, b)
    assert grid == PFS_MR and record["seed"] == 1 and "sqrt(ivar)" in record["snr"]


def test_half_precision_moves_predictions_little(regressor, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, regressor, dtype=torch.float16)
    again, grid, _ = load_weights(path)
    flux, ivar = torch.rand(3, 96) + 1, torch.full((3, 96), 50.0)
    (mean, sigma), (other, _) = regressor.predict(flux, ivar), again.predict(flux, ivar)
    assert ((mean - other).abs() < 5e-3 * sigma).all()
    assert torch.equal(again.label_centre, regressor.label_centre) and grid is None


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled(name):
    path = bundled(name)
    assert path.stat().st_size <= 20e6
    regressor, grid, record = load_weights(name)
    assert regressor.label_names == ("teff", "logg", "mh", "alpham", "cm") and regressor.heteroscedastic
    assert grid == PFS_MR
    for key in (
        "command",
        "seed",
        "revision",
        "device",
        "spectra_seen",
        "figures",
        "label_range",
        "torch",
        "snr",
    ):
        assert record[key], key
    with safe_open(str(path), framework="pt") as archive:
        assert json.loads(archive.metadata()["record"]) == record == list_weights()[name]
        # Every field is written out: what the defaults of the configuration are does not matter.
        written = json.loads(archive.metadata()["regressor"])["config"]
        assert set(written) == {field.name for field in fields(ViTConfig)}
        assert written == regressor.config.to_dict()
        assert all(torch.isfinite(archive.get_tensor(key)).all() for key in archive.keys())  # noqa: SIM118


def foreign(path):
    save_file({"a": torch.zeros(2)}, str(path))


def truncated(path):
    path.write_bytes(bundled("any").read_bytes()[:100_000])


def emulator(path):
    path.write_bytes((DATA / "emulator_pfs_mr.safetensors").read_bytes())


def without_digest(metadata):
    """Header of a file as it was written before headers had a digest."""
    return {name: text for name, text in metadata.items() if name != "sha256"}


def lacking(path):
    with safe_open(str(bundled("any")), framework="pt") as archive:
        tensors = {k: archive.get_tensor(k) for k in archive.keys() if not k.endswith("head.weight")}  # noqa: SIM118
        save_file(tensors, str(path), metadata=without_digest(archive.metadata()))


def of_other_sizes(path):
    with safe_open(str(bundled("any")), framework="pt") as archive:
        metadata = without_digest(archive.metadata())
        tensors = {k: archive.get_tensor(k) for k in archive.keys()}  # noqa: SIM118
    description = json.loads(metadata["regressor"])
    description["config"]["depth"] = 1
    save_file(tensors, str(path), metadata=metadata | {"regressor": json.dumps(description)})


def bit_flipped(path):
    regressor = LabelRegressor.build(SMALL, ("teff", "logg"))
    save_weights(path, regressor)
    content = bytearray(path.read_bytes())
    content[-7] ^= 64
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("no weights"), "truncated or not a safetensors file"),
        (lambda path: path.write_bytes(b""), "truncated or not a safetensors file"),
        (lambda path: np.savez(path.with_suffix(".npz"), a=1), None),
        (truncated, "truncated or not a safetensors file"),
        (foreign, "is not a file of format specvit-weights-1 "),
        (emulator, "is not a file of format specvit-weights-1 .*specvit-emulator-1"),
        (lacking, "does not hold the model that its header describes"),
        (of_other_sizes, "does not hold the model that its header describes"),
        (bit_flipped, "is damaged, its numbers or header are not those that were written"),
    ],
)
def test_hostile_files(tmp_path, make, message):
    path = tmp_path / "w.safetensors"
    make(path)
    if message is None:
        with pytest.raises(FileNotFoundError, match="weights must name bundled weights"):
            load_weights(path)
        return
    with pytest.raises(ValueError, match=f"weights: .*{message}"):
        load_weights(path)


def test_unknown_name():
    with pytest.raises(FileNotFoundError, match=r"bundled weights \('any'.*got 'pfs-lr'"):
        load_weights("pfs-lr")
