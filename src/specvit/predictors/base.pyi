"""Types of `specvit.predictors.base`. Spectra come in many classes: `X` is any of them."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy.typing as npt
from astropy.table import QTable

from specvit.grid import Instrument
from specvit.predictors.predictions import Predictions

class Predictor:
    columns_: tuple[str, ...] | None
    @property
    def label_names(self) -> tuple[str, ...]: ...
    @property
    def output_names(self) -> tuple[str, ...]: ...
    def predict(
        self,
        X: Any,
        return_std: bool = False,
        *,
        ivar: npt.ArrayLike | None = None,
        medium: Literal["air", "vacuum"] | None = None,
        resolution: npt.ArrayLike | None = None,
        instrument: str | Instrument | None = None,
        mask: Any = None,
        on_error: Literal["raise", "nan"] = "raise",
        lower_resolution: float | Literal["raise", "flag"] | None = None,
        min_coverage: float | None = None,
        velocity: Literal["fit"] | None = None,
        given: Mapping[str, tuple[Any, Any]] | None = None,
    ) -> Any: ...
    def predict_labels(
        self,
        X: Any,
        *,
        ivar: npt.ArrayLike | None = None,
        medium: Literal["air", "vacuum"] | None = None,
        resolution: npt.ArrayLike | None = None,
        instrument: str | Instrument | None = None,
        mask: Any = None,
        on_error: Literal["raise", "nan"] = "raise",
        lower_resolution: float | Literal["raise", "flag"] | None = None,
        min_coverage: float | None = None,
        velocity: Literal["fit"] | None = None,
        given: Mapping[str, tuple[Any, Any]] | None = None,
    ) -> Predictions: ...
    def predict_table(
        self,
        X: Any,
        *,
        ivar: npt.ArrayLike | None = None,
        medium: Literal["air", "vacuum"] | None = None,
        resolution: npt.ArrayLike | None = None,
        instrument: str | Instrument | None = None,
        mask: Any = None,
        on_error: Literal["raise", "nan"] = "nan",
        lower_resolution: float | Literal["raise", "flag"] | None = None,
        min_coverage: float | None = None,
        velocity: Literal["fit"] | None = None,
        given: Mapping[str, tuple[Any, Any]] | None = None,
    ) -> QTable: ...
    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: npt.ArrayLike | None = None,
        *,
        ivar: npt.ArrayLike | None = None,
        medium: Literal["air", "vacuum"] | None = None,
        resolution: npt.ArrayLike | None = None,
    ) -> float: ...
    def get_params(self, deep: bool = True) -> dict[str, Any]: ...
    def set_params(self, **params: Any) -> Any: ...

__all__: list[str]
