"""Checkpoints that are continued: only our own, whole, and of the same run."""

import os

import pytest
import torch

from specvit.network import LabelRegressor, TrainingConfig, ViTConfig, train

CONFIG = TrainingConfig(max_steps=2, val_every_steps=1)


def regressor(depth=1):
    torch.manual_seed(0)
    config = ViTConfig.reference(n_pixels=64, width=16, heads=2, depth=depth)
    return LabelRegressor.build(config, ("logg",), encoding="none")


def run(folder, config=CONFIG, network=None, resume="last"):
    flux = torch.randn(8, 64, generator=torch.Generator().manual_seed(1))
    batches = [(flux, torch.ones(8, 64), flux[:, :1])] * 4
    network = regressor() if network is None else network
    return train(network, batches, config, checkpoint_dir=folder, resume=resume, progress=False)


@pytest.fixture
def last(tmp_path):
    run(tmp_path)
    return tmp_path / "last.ckpt"


def test_it_holds_nothing_but_plain_values(last):
    assert torch.load(last, weights_only=True)["specvit_config"] == CONFIG.to_dict()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"learning_rate": 1e-3}, "learning_rate 0.0003 and not 0.001"),
        ({"seed": 5}, "seed 0 and not 5"),
        ({"weight_decay": 0.5}, "weight_decay 0.01 and not 0.5"),
    ],
)
def test_another_configuration(last, change, said):
    config = TrainingConfig.from_dict(CONFIG.to_dict() | change)
    with pytest.raises(ValueError, match=rf"checkpoint: .*last\.ckpt is of a run with {said}: take another"):
        run(last.parent, config)
    longer = TrainingConfig.from_dict(CONFIG.to_dict() | {"max_steps": 4})
    assert run(last.parent, longer)["step"][-1] == 4


def test_another_network(last):
    with pytest.raises(ValueError, match="is of a regressor of another shape than the one given"):
        run(last.parent, network=regressor(depth=2))


class Hostile:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("new", [True, False])
def test_a_foreign_file_runs_no_code(last, new):
    trap = last.parent / "trap"
    torch.save({"specvit_regressor": Hostile(str(trap))}, last, _use_new_zipfile_serialization=new)
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged or no checkpoint of this package"):
        run(last.parent)
    assert not trap.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-100],
        lambda content: content[:1000],
        lambda content: b"",
        lambda content: b"no checkpoint",
    ],
)
def test_damage(last, damage):
    last.write_bytes(damage(last.read_bytes()))
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged or no checkpoint of this package"):
        run(last.parent)
    assert run(last.parent, resume=None)["step"][-1] == 2


def test_a_foreign_state(last):
    torch.save({"state_dict": {}}, last)
    with pytest.raises(ValueError, match=r"no checkpoint of this package \(KeyError: 'specvit_regressor'\)"):
        run(last.parent)
