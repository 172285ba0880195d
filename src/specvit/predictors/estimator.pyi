"""Types of `specvit.predictors.estimator`."""

from collections.abc import Sequence
from os import PathLike
from typing import Any, Literal

import numpy.typing as npt
from numpy.random import RandomState

from specvit.dataset import SpectrumDataset
from specvit.grid import PixelGrid
from specvit.network import LabelRegressor
from specvit.predictors.base import Predictor

class LoggEstimator(Predictor):
    regressor_: LabelRegressor
    grid_: PixelGrid | None
    history_: dict[str, list[Any]]
    record_: dict[str, Any]
    n_features_in_: int
    def __init__(
        self,
        weights: str | PathLike[str] | None = "any",
        *,
        grid: PixelGrid | None = None,
        labels: str | Sequence[str] | None = None,
        encoding: Literal["weighted", "instrument", "median", "none"] | None = None,
        tokenizer: Literal["local", "conv1d", "sliding_window"] | None = None,
        patch_size: int | None = None,
        position: str | None = None,
        width: int | None = None,
        depth: int | None = None,
        heads: int | None = None,
        dropout: float | None = None,
        loss: Literal["gaussian_nll", "l1", "mse", "huber"] | None = None,
        epochs: int = 20,
        batch_size: int = 256,
        learning_rate: float | None = None,
        weight_decay: float = 0.01,
        gradient_clip: float | None = 0.5,
        ema_decay: float | None = None,
        validation_fraction: float = 0.1,
        patience: int | None = None,
        precision: str = "auto",
        device: str = "auto",
        devices: int = 1,
        random_state: int | RandomState | None = None,
        progress: bool | None = None,
        checkpoint_dir: str | PathLike[str] | None = None,
    ) -> None: ...
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        ivar: npt.ArrayLike | None = None,
        medium: Literal["air", "vacuum"] | None = None,
        resolution: npt.ArrayLike | None = None,
        on_error: Literal["raise", "nan"] = "raise",
        lower_resolution: float | Literal["raise", "flag"] | None = None,
        validation: SpectrumDataset | None = None,
    ) -> LoggEstimator: ...
    def save(self, path: str | PathLike[str]) -> None: ...
    @classmethod
    def load(cls, path: str | PathLike[str], **params: Any) -> LoggEstimator: ...

__all__: list[str]
