"""Archives: what comes back, and what each kind of damage is answered with."""

import json
import random

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from specvit.archive import read_archive, write_archive
from specvit.grid import PixelGrid

KIND = "toy-1"
GRID = PixelGrid.linear(5000, 5100, 20, 0.7, name="toy", medium="air")
TENSORS = {
    "half": torch.linspace(0, 1, 5).half(),
    "brain": torch.linspace(0, 1, 5).bfloat16(),
    "scalar": torch.tensor(3.5, dtype=torch.float64),
    "empty": torch.empty(0, 4),
    "turned": torch.arange(6.0).reshape(2, 3).T,
    "flags": torch.tensor([True, False]),
}
FIELDS = {"record": {"seed": 1, "nested": [1, None, "ü"]}, "labels": ["teff"]}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.safetensors"
    write_archive(path, KIND, TENSORS, FIELDS, GRID)
    return path


def parts(path):
    with safe_open(str(path), framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def test_what_is_written_comes_back(path):
    found = read_archive(path, KIND)
    assert found.fields == FIELDS and found.grid == GRID and found.grid.name == "toy"
    assert set(found.tensors) == set(TENSORS)
    for name, values in TENSORS.items():
        assert found.tensors[name].dtype == values.dtype and torch.equal(found.tensors[name], values)


def test_the_header_alone(path):
    found = read_archive(path, KIND, header_only=True)
    assert found.fields == FIELDS and found.tensors == {} and found.grid is None


def test_without_a_grid(tmp_path):
    write_archive(tmp_path / "b", KIND, TENSORS, FIELDS)
    assert read_archive(tmp_path / "b", KIND).grid is None


def test_files_without_digest_are_read_only_on_request(path):
    tensors, header = parts(path)
    del header["sha256"]
    save_file(tensors, str(path), metadata=header)
    for header_only in (False, True):
        with pytest.raises(ValueError, match=r"file: .*a\.safetensors has no digest of its contents"):
            read_archive(path, KIND, header_only=header_only)
    assert read_archive(path, KIND, unverified=True).grid == GRID


@pytest.mark.parametrize("share", [0.08, pytest.param(1, marks=pytest.mark.slow)])
def test_every_flipped_bit_is_found(path, share):
    """Bits of the header and of the numbers behind it: some 700 of them, or each."""
    whole = path.read_bytes()
    positions = random.Random(0).sample(range(8 * len(whole)), int(8 * share * len(whole)))
    assert len(positions) > 600, len(positions)
    for position in positions:
        content = bytearray(whole)
        content[position // 8] ^= 1 << position % 8
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"file: .*a\.safetensors "):
            read_archive(path, KIND)
    path.write_bytes(whole)
    read_archive(path, KIND)


def flip(path, what):
    """Change one bit of the first tensor's numbers, which stand last in the file."""
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def change(path, what):
    tensors, header = parts(path)
    what(tensors, header)
    save_file(tensors, str(path), metadata=header)


def no_digest(header):
    header.pop("sha256")


@pytest.mark.parametrize(
    ("damage", "what", "message"),
    [
        (lambda path, _: path.write_bytes(path.read_bytes()[:-1]), None, "is truncated or not a safetensors"),
        (lambda path, _: path.write_bytes(path.read_bytes()[:100]), None, "is truncated or not a safe"),
        (lambda path, _: path.write_bytes(b""), None, "is truncated or not a safetensors file"),
        (lambda path, _: path.write_text("{}"), None, "is truncated or not a safetensors file"),
        (
            lambda path, _: path.write_bytes(b"PK" + bytes(500)),
            None,
            "is truncated or not a safetensors file",
        ),
        (flip, None, "is damaged, its numbers or header are not those that were written"),
        (change, lambda t, h: t.pop("half"), "is damaged, its numbers"),
        (change, lambda t, h: t.update(half=t["half"].reshape(5, 1)), "is damaged, its numbers"),
        (change, lambda t, h: h.update(labels='["logg"]'), "is damaged, its numbers or header"),
        (change, lambda t, h: h.update(format="toy-2"), r"is not a file of format toy-1 \(it says 'toy-2'\)"),
        (change, lambda t, h: h.clear(), r"is not a file of format toy-1 \(it says None\)"),
        (
            change,
            lambda t, h: (no_digest(h), h.update(record="{")),
            "is damaged, 'record' in its header is no JSON",
        ),
        (change, lambda t, h: (no_digest(h), t.pop("grid.edges")), "does not hold the grid that its header"),
        (
            change,
            lambda t, h: (no_digest(h), h.update(grid=json.dumps({"medium": "water", "name": "a"}))),
            "does not hold the grid .*medium must be",
        ),
        (
            change,
            lambda t, h: (no_digest(h), t.update({"grid.edges": -t["grid.edges"]})),
            "does not hold the grid .*edges must be",
        ),
    ],
)
def test_damage_is_named(path, damage, what, message):
    damage(path, what)
    with pytest.raises(ValueError, match=f"toy: .*a\\.safetensors {message}"):
        read_archive(path, KIND, what="toy", unverified=True)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"toy: .*none does not exist"):
        read_archive(tmp_path / "none", KIND, what="toy")


def test_a_disk_that_is_full_is_named_and_loses_nothing(path, monkeypatch):
    def full(*_, **__):
        raise SafetensorError("I/O error: No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr("specvit.archive.save_file", full)
    with pytest.raises(OSError, match=r"a\.safetensors cannot be written: I/O error: No space left"):
        write_archive(path, KIND, TENSORS, FIELDS)
    assert path.read_bytes() == before


def test_reserved_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must not have the names \['grid', 'grid.edges'\]"):
        write_archive(tmp_path / "b", KIND, {"grid.edges": torch.ones(1)}, {"grid": 1})
