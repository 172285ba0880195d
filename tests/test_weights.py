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
from specvit.archive import read_archive, write_archive
from specvit.grid import PFS_MR, PixelGrid
from specvit.network import LabelRegressor, ViTConfig
from specvit.weights import BUNDLED, FORMAT, list_weights, load_weights, save_weights

DATA = Path(specvit.__file__).parent / "data"

GRID = PixelGrid.linear(5000, 5100, 96, 0.7, name="small")
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
    save_weights(path, regressor, grid=GRID, record={"seed": 1})
    again, grid, record = load_weights(path)
    flux, ivar = torch.rand(3, 96) + 1, torch.full((3, 96), 50.0)
    for a, b in zip(regressor.predict(flux, ivar), again.predict(flux, ivar), strict=True):
        assert torch.equal(a, b)
    assert grid == GRID and record["seed"] == 1 and "sqrt(ivar)" in record["snr"]


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


def rewritten(source, path, change):
    """The contents of a file, changed, with a digest that is right."""
    archive = read_archive(source, FORMAT)
    found = {"tensors": archive.tensors, "fields": archive.fields, "grid": archive.grid}
    change(found)
    write_archive(path, FORMAT, found["tensors"], found["fields"], found["grid"])


def lacking(path):
    rewritten(bundled("any"), path, lambda found: found["tensors"].pop("network.head.weight"))


def of_other_sizes(path):
    rewritten(bundled("any"), path, lambda found: found["fields"]["regressor"]["config"].update(depth=1))


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


def scaled(name, values):
    return lambda found: found["tensors"].update({name: torch.tensor(values)})


def recorded(**fields):
    return lambda found: found["fields"]["record"].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f["fields"]["regressor"].update(label_names=["logg", "teff"]), "in another order"),
        (lambda f: f["fields"]["regressor"].update(label_names=["teff", "teff"]), "different names"),
        (lambda f: f["fields"]["regressor"].update(label_names=["teff"]), "n_outputs must be 2"),
        (lambda f: f["fields"]["regressor"]["config"].update(heads=3), "width must be a multiple of heads=3"),
        (lambda f: f["fields"]["regressor"]["config"].update(heads=None), "heads must be an integer"),
        (lambda f: f["fields"]["regressor"]["config"].update(size=3), "has no field 'size'"),
        (lambda f: f["fields"]["regressor"].update(encoding="water"), "encoding"),
        (lambda f: f["fields"].update(regressor=None), "not iterable"),
        (lambda f: f["fields"].pop("regressor"), "regressor"),
        (lambda f: f["fields"].update(record=None), "the record must be a dict, got None"),
        (lambda f: f["fields"].pop("record"), "record"),
        (recorded(label_range=None), "label_range must be a dict of ranges"),
        (recorded(label_range={"teff": [4000, 6000], "age": [1, 2]}), "label_range must be a dict of ranges"),
        (
            recorded(label_range={"teff": [6000, 4000]}),
            "label_range of teff must be finite, the lowest first",
        ),
        (recorded(label_range={"teff": [None, 4000]}), "NoneType"),
        (recorded(columns=["age"]), "columns must be labels"),
        (recorded(features=["a"]), "features must name the 96 features"),
        (scaled("label_scale", [-500.0, 1.0]), "scale must be positive, got .-500"),
        (scaled("label_scale", [500.0, float("nan")]), "scale must be finite"),
        (scaled("label_centre", [5000.0, float("inf")]), "centre must be finite"),
        (scaled("calibration_factor", [[1.1, 0.9], [-1.2, 0.8]]), "factor must be positive and finite"),
        (scaled("calibration_factor", [[1.1, 0.9], [float("nan"), 0.8]]), "factor must be positive"),
        (scaled("calibration_snr", [10.0, 1.0]), "snr must be positive, finite and strictly increasing"),
        (scaled("network.head.bias", [0.0, float("nan"), 0.0, 0.0]), "head.bias must be finite"),
        (scaled("network.head.bias", [0.0, 0.0, float("inf"), 0.0]), "head.bias must be finite"),
        (scaled("network.head.bias", [-float("inf"), 0.0, 0.0, 0.0]), "head.bias must be finite"),
        (lambda f: f.update(grid=PFS_MR), "the grid must have the network's 96 pixels, got 4096"),
    ],
)
def test_every_field_is_checked(regressor, tmp_path, change, message):
    ranges = {"teff": [4000, 6000], "logg": [0, 5]}
    save_weights(tmp_path / "good", regressor, grid=GRID, record={"label_range": ranges})
    load_weights(tmp_path / "good")
    rewritten(tmp_path / "good", tmp_path / "bad", change)
    with pytest.raises(ValueError, match=rf"weights: .*bad does not hold the model .*{message}"):
        load_weights(tmp_path / "bad")


@pytest.mark.parametrize("grid", ['{"medium": null, "name": "x"}', '{"name": "x"}', "null", '"vacuum"'])
def test_a_grid_without_medium(regressor, tmp_path, grid):
    """Nothing is assumed of a grid that does not say its medium."""
    save_weights(tmp_path / "w", regressor, grid=GRID)
    with safe_open(str(tmp_path / "w"), framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = file.metadata() | {"grid": grid}
    header.pop("sha256")
    save_file(tensors, str(tmp_path / "w"), metadata=header)
    with pytest.raises(ValueError, match="does not hold the grid that its header describes"):
        read_archive(tmp_path / "w", FORMAT, unverified=True)


def test_labels_without_sigma_come_back(regressor, tmp_path):
    regressor.calibration_factor[:, 0] = torch.nan
    save_weights(tmp_path / "w", regressor)
    again = load_weights(tmp_path / "w")[0]
    assert again.calibration_factor.isnan().tolist() == [[True, False]] * 2
    torch.testing.assert_close(again.calibration_factor, regressor.calibration_factor, equal_nan=True)


def test_flipped_bits_of_the_bundled_weights(tmp_path):
    """Wherever a bit flips, in 18 MB or in the header, the file is refused."""
    whole, rng = bundled("any").read_bytes(), np.random.default_rng(0)
    header = 8 + int.from_bytes(whole[:8], "little")
    for position in [*rng.integers(8 * header, size=6), *rng.integers(8 * len(whole), size=6)]:
        content = bytearray(whole)
        content[position // 8] ^= 1 << int(position % 8)
        (tmp_path / "w").write_bytes(content)
        with pytest.raises(ValueError, match="weights: "):
            load_weights(tmp_path / "w")


def test_unknown_name():
    with pytest.raises(FileNotFoundError, match=r"bundled weights \('any'.*got 'pfs-lr'"):
        load_weights("pfs-lr")


def test_reading_weights_draws_no_random_numbers():
    state = torch.get_rng_state()
    load_weights()
    torch.manual_seed(0)
    drawn = LabelRegressor.build(ViTConfig(n_pixels=64, width=16, depth=1, mlp=16), ("logg",)).network
    assert drawn.head.weight.detach().std() == pytest.approx(0.0176, rel=0.3)  # 0.02, cut at 2 sigma
    torch.set_rng_state(state)
    load_weights()
    assert torch.equal(torch.get_rng_state(), state)
