"""The models of lines that screening and fits use: read once, of the stars that ship."""

import torch

from specvit.honesty.screening import line_model


def test_both_models_are_made_once_and_are_of_the_same_stars():
    fine, coarse = line_model("cpu"), line_model("cpu", 2)
    assert fine is line_model("cpu") and coarse is line_model("cpu", 2)
    assert (fine.coarse, coarse.coarse) == (1, 2)
    labels = torch.tensor([[4700.0, 2.2, -0.4, 0.15, -0.05]])
    kept = coarse.frequency.numel()
    whole, part = fine.depths(labels)[:, : kept // 2], coarse.depths(labels)[:, : kept // 2]
    assert float((whole / fine.n_fft - part / coarse.n_fft).norm() / (whole / fine.n_fft).norm()) < 0.05
