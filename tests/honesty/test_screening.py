"""The models of lines that screening and fits use: read once, of the stars that ship."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch

from specvit.honesty import screening
from specvit.honesty.screening import line_model


def test_both_models_are_made_once_and_are_of_the_same_stars():
    fine, coarse = line_model("cpu"), line_model("cpu", 2)
    assert fine is line_model("cpu") and coarse is line_model("cpu", 2)
    assert (fine.coarse, coarse.coarse) == (1, 2)
    labels = torch.tensor([[4700.0, 2.2, -0.4, 0.15, -0.05]])
    kept = coarse.frequency.numel()
    whole, part = fine.depths(labels)[:, : kept // 2], coarse.depths(labels)[:, : kept // 2]
    assert float((whole / fine.n_fft - part / coarse.n_fft).norm() / (whole / fine.n_fft).norm()) < 0.05


def test_threads_that_ask_at_the_same_time_get_the_same_models(monkeypatch):
    made = []

    def slow(emulator, calibration, coarse):
        made.append(coarse)
        time.sleep(0.05)
        return torch.nn.Identity()

    monkeypatch.setattr(screening, "LineModel", slow)
    monkeypatch.setattr(screening, "_models_on", lru_cache(screening._models_on.__wrapped__))
    for data in (screening.Emulator, screening.LineCalibration):
        monkeypatch.setattr(data, "load", lambda: None)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(line_model, ["cpu", "cpu"], [2, 2])
    assert one is other and sorted(made) == [1, 2]
