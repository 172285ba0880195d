"""Losses: which loss, of labels scaled in which way."""

from __future__ import annotations

from studies.configuration import Configuration
from studies.study import Picture, Study

__all__ = ["STUDY"]

STUDY = Study(
    name="losses",
    title="Which loss, and how should labels be scaled?",
    question="Do L1, MSE, Huber and the Gaussian likelihood differ in R² and MAE of log g, and does it "
    "matter whether labels are scaled to unit variance or to [0, 1]?",
    variants=Study.grid(
        {
            f"{loss}, {scaling}": Configuration(loss=loss, label_scaling=scaling)
            for loss in ("l1", "mse", "huber", "gaussian_nll")
            for scaling in ("standard", "minmax")
        }
    ),
    picture=Picture("loss", "label_scaling"),
    columns=("loss", "label_scaling"),
)
