"""`LabelPredictor`, the protocol of all predictors, and adapters for networks and for other libraries."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import torch

from specvit.labels import LABELS, label_tuple
from specvit.network import LabelRegressor
from specvit.predictors.predictions import Predictions
from specvit.predictors.truelabels import in_label_unit
from specvit.spectra.given import numbers_given

__all__ = ["ForeignPredictor", "LabelPredictor", "NetworkPredictor", "as_label_predictor"]


@runtime_checkable
class LabelPredictor(Protocol):
    """Protocol of objects that predict labels of spectra with σ, which `specvit.assess` evaluates.

    Every `Predictor` is one; so is any object with this method.

    See Also
    --------
    Predictor : The base of the predictors of this package.
    ForeignPredictor : Makes one of a regressor of another library.

    Examples
    --------
    >>> class Constant:
    ...     def predict_labels(self, X, *, ivar=None, on_error="raise"):
    ...         mean = np.full((len(X), 1), 2.5)
    ...         return Predictions(("logg",), mean, np.full_like(mean, 1.0), (len(X),))
    >>> isinstance(Constant(), LabelPredictor)
    True
    """

    def predict_labels(self, X, *, ivar=None, on_error="raise"):
        """All labels of spectra.

        Parameters
        ----------
        X : ndarray, shape (n, n_pixels)
            Fluxes. The array is a copy, which may be written to.
        ivar : ndarray, shape (n, n_pixels)
            Inverse variance, 0 where masked.
        on_error : {"raise", "nan"}
            Whether a spectrum without an answer raises or gives NaN, for which `specvit.assess` asks.

        Returns
        -------
        object
            An object with ``names``, a sequence of str, and ``mean`` and ``sigma``, arrays (n, len(names));
            ``sigma`` is NaN where there is none. `Predictions` is one.
        """


class ForeignPredictor:
    """A `LabelPredictor` made of a regressor of another library that was fitted on fluxes.

    Parameters
    ----------
    regressor : object
        An object whose ``predict(flux)`` returns an array (n,) or (n, n_labels).
    labels : str or sequence of str, optional
        Labels that it predicts. By default those of its attribute ``label_names``, or log g.
    return_std : bool
        Whether to call ``predict(flux, return_std=True)``, which must return a mean and a σ, as
        scikit-learn's ``BayesianRidge`` does.
    ivar : bool
        Whether to call ``predict(flux, ivar=ivar)``.

    See Also
    --------
    LabelPredictor : The protocol; an object that has its method needs no adapter.

    Notes
    -----
    `~specvit.assess.evaluate` wraps any object with ``predict`` by itself, with the defaults.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import BayesianRidge
    >>> from specvit.predictors import ForeignPredictor
    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> fitted = BayesianRidge().fit(x, 3 + x[:, 0])
    >>> found = ForeignPredictor(fitted, return_std=True).predict_labels(x)
    >>> found.names, found.sigma.shape
    (('logg',), (50, 1))
    """

    def __init__(self, regressor, labels=None, *, return_std=False, ivar=False):
        self.regressor, self.return_std, self.ivar = regressor, return_std, ivar
        labels = getattr(regressor, "label_names", None) or "logg" if labels is None else labels
        labels = (labels,) if isinstance(labels, str) else tuple(labels)
        self.label_names = label_tuple(labels, among=(*LABELS, *labels))

    def predict_labels(self, X, *, ivar=None, on_error="raise"):
        """All labels of spectra; `X`, `ivar` and `on_error`, which is not passed on, as for `LabelPredictor`.

        Returns
        -------
        Predictions
            `sigma` is NaN without `return_std`.

        Raises
        ------
        ValueError
            If the regressor gives another shape.
        """
        options = {"return_std": True} if self.return_std else {}
        options |= {"ivar": ivar} if self.ivar else {}
        found = self.regressor.predict(X, **options)
        mean, sigma = found if self.return_std else (found, None)
        mean = self._plain(mean, "predictions")
        sigma = np.full(mean.shape, np.nan) if sigma is None else self._plain(sigma, "sigma", err=True)
        shape = len(X), len(self.label_names)
        if mean.shape != shape or sigma.shape != shape:
            raise ValueError(
                f"{type(self.regressor).__name__} must predict shape {shape} for its labels "
                f"{self.label_names}, got {mean.shape}"
                + ("" if sigma.shape == mean.shape else f" and sigma {sigma.shape}")
            )
        return Predictions(self.label_names, mean, sigma, shape[:1])

    def _plain(self, found, what, err=False):
        """What the regressor gives as an array with an axis of labels, in their units, NaN where masked."""
        given = numbers_given(found, what)
        values = given.visible[:, None] if given.visible.ndim == 1 else given.visible
        if given.unit is None:
            return values
        columns = zip(values.T, self.label_names, strict=True)
        return np.stack([in_label_unit(x, given.unit, name, what, err=err) for x, name in columns], 1)


class NetworkPredictor:
    """A `LabelPredictor` made of a `~specvit.network.LabelRegressor`; its answers are not checked or flagged.

    Parameters
    ----------
    regressor : LabelRegressor
        The network, which stays on its device.
    """

    def __init__(self, regressor):
        self.regressor, self.label_names = regressor, tuple(regressor.label_names)

    def predict_labels(self, X, *, ivar=None, on_error="raise"):
        """All labels of spectra; see `LabelPredictor`. NaN where the network has no answer.

        Raises
        ------
        ValueError
            Without `ivar`, which the network sees.
        """
        if ivar is None:
            raise ValueError("ivar must be given to a network")
        device = self.regressor.label_scale.device
        flux, ivar = (torch.as_tensor(values, device=device) for values in (X, ivar))
        mean, sigma = (values.double().cpu().numpy() for values in self.regressor.predict(flux, ivar))
        return Predictions(self.label_names, mean, sigma, (len(X),))


def as_label_predictor(predictor, name="predictor"):
    """The `LabelPredictor` of an object: the object itself, or an adapter of it.

    Parameters
    ----------
    predictor : LabelPredictor, LabelRegressor, or object with ``predict``
        The object; the last kind is adapted by a `ForeignPredictor` with its defaults.
    name : str
        Its name in messages.

    Raises
    ------
    TypeError
        If it has neither ``predict_labels`` nor ``predict``.
    """
    if isinstance(predictor, LabelPredictor):
        return predictor
    if isinstance(predictor, LabelRegressor):
        return NetworkPredictor(predictor)
    if not callable(getattr(predictor, "predict", None)):
        raise TypeError(
            f"{name} must have a method predict_labels or predict, {type(predictor).__name__} has neither"
        )
    return ForeignPredictor(predictor)
