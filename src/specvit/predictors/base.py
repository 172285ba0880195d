"""`Predictor`: what everyone who predicts has in common, from what is accepted to the table with flags."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import validate_data

from specvit.labels import LABELS, label_tuple
from specvit.predictors.misfit import LARGEST_MISFIT, misfit
from specvit.predictors.predictions import Predictions
from specvit.spectra import Flag, adapt
from specvit.spectra.kinds import Kind, kind_of
from specvit.spectra.rules import ONE_INSTRUMENT, raise_rejected
from specvit.spectra.units import real_array

__all__ = ["Predictor"]

#: A prediction this close to the end of the training range, as a share of it, is flagged.
_EDGE = 0.01
#: Median S/N per pixel below which labels rest on the prior more than on the spectrum.
_LOWEST_SNR = 1.0


class Predictor(RegressorMixin, BaseEstimator):
    """Base of `~specvit.LoggEstimator`, Ridge, LightGBM and the χ² fit: they differ in how they know labels.

    A subclass has ``fit``, the parameter `labels`, `label_names`, and three methods: ``_own_grid()``, the
    `~specvit.PixelGrid` of its spectra, or None where it was fitted on plain features;
    ``_infer(flux, ivar)``, mean and σ (n, n_labels) of usable spectra on that grid; and, if it knows,
    ``_label_range()``, the lowest and highest value of each label that it has learned from, and
    ``_instrument_rules()``, the lowest resolution and coverage that it answers by default.

    See Also
    --------
    specvit.predictors.LabelPredictor : The protocol by which predictors of other makes join in.
    """

    #: Names of the columns of a two-dimensional `y` of ``fit``, else None.
    columns_ = None

    @property
    def label_names(self):
        """Labels that are known: those of `predict_labels` and `predict_table`, a tuple of str.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is nothing yet to predict with.
        """
        raise NotImplementedError

    @property
    def output_names(self):
        """Labels that `predict` gives, a tuple of str.

        Those of the parameter `labels`; else the columns of a two-dimensional `y` of ``fit``; else log g, or
        all there are where log g is not among them.

        Raises
        ------
        ValueError
            If `labels` has one that is not among `label_names`.
        """
        known = self.label_names
        if self.labels is not None:
            return label_tuple(self.labels, among=known)
        return self.columns_ or (("logg",) if "logg" in known else known)

    # -- predicting --------------------------------------------------------------------------------

    def predict(
        self,
        X,
        return_std=False,
        *,
        ivar=None,
        medium=None,
        resolution=None,
        instrument=None,
        mask=None,
        on_error="raise",
        lower_resolution=None,
        min_coverage=None,
    ):
        """Surface gravity, or the labels that the parameter `labels` asks for (see `output_names`).

        Parameters
        ----------
        X : Spectrum, list, SpectrumCollection, SpectrumBatch, or array-like of shape (n, n_pixels)
            Spectra of any axis and unit (see `specvit.spectra.adapt`), spectra that are on the grid already,
            or fluxes on the grid, (n_pixels,) for one.
        return_std : bool
            Also return the standard error.
        ivar : array-like, shape of `X`, optional
            Inverse variance, for arrays; 0 masks a pixel. Without it the noise is estimated from the
            pixel-to-pixel scatter.
        medium : {"air", "vacuum"}, optional
            Medium of the wavelengths, where the spectrum does not say; vacuum if nobody does.
        resolution : float or array-like, optional
            Resolving power λ/FWHM of the spectra, where they do not say.
        instrument : str or Instrument, optional
            What took the spectra, a preset by name (`specvit.grid.INSTRUMENTS`) or one's own: gives medium,
            resolution and native pixels that they do not state, and masks telluric bands if on the ground.
        mask : str, (float, float) or sequence of these, optional
            Wavelengths not to be used, as observed: ``"telluric"``, ``"none"``, or windows in vacuum Å.
        on_error : {"raise", "nan"}
            What a spectrum without an answer gives.
        lower_resolution : {"raise", "flag"} or float, optional
            What to do with spectra of lower resolution than the grid's: refuse them, flag them, or flag them
            down to a resolving power. By default networks that are told of the instrument (encoding
            ``instrument``) flag down to R = 1350; all others refuse.
        min_coverage : float, optional
            Least share of the grid's pixels with information. By default 0.05 for networks that are told of
            the instrument, 0.5 for all others.

        Returns
        -------
        mean : Quantity, dict of str to Quantity, or ndarray
            For spectra a quantity of their shape (a scalar for one), log g as `~astropy.units.Dex` in
            dex(cm/s²); a dict of them by name where several labels are asked for. For arrays plain floats in
            the labels' units, shape (n,), or () for one spectrum; with a last axis of labels where several
            are asked for, or where the `y` of ``fit`` had one.
        sigma : Quantity, dict of str to Quantity, or ndarray
            Standard error, if `return_std`; of log g in dex.

        Raises
        ------
        SpectrumError
            If a spectrum cannot be used: which one, and which rule.
        sklearn.exceptions.NotFittedError
            If there is nothing yet to predict with.
        TypeError, ValueError
            If `X` is not on the grid, or an argument does not go with it.
        """
        names = self.output_names
        given = {"ivar": ivar, "medium": medium, "resolution": resolution, "instrument": instrument}
        given |= {"mask": mask, "lower_resolution": lower_resolution, "min_coverage": min_coverage}
        found = self.predict_labels(X, on_error=on_error, **given)
        plain = kind_of(X) is Kind.ARRAY or found.batch is None
        axis = len(names) > 1 or (plain and self.columns_ is not None)
        answer = (found.numbers if plain else found.quantities)(names, axis=axis)
        return answer if return_std else answer[0]

    def predict_labels(
        self,
        X,
        *,
        ivar=None,
        medium=None,
        resolution=None,
        instrument=None,
        mask=None,
        on_error="raise",
        lower_resolution=None,
        min_coverage=None,
    ):
        """All labels as plain numbers: what `predict`, `predict_table` and `specvit.assess` are made of.

        Parameters
        ----------
        X, ivar, medium, resolution, instrument, mask, on_error, lower_resolution, min_coverage
            As for `predict`.

        Returns
        -------
        Predictions
            With ``names``, ``mean`` and ``sigma`` (n, n_labels), and the ``batch`` they come from.

        Raises
        ------
        SpectrumError, sklearn.exceptions.NotFittedError, TypeError, ValueError
            As `predict` does.
        """
        names, grid = self.label_names, self._own_grid()
        if grid is None:
            if not (instrument is None and mask is None):
                raise ValueError("instrument and mask are for spectra, not for plain features")
            features, shape = self._features(X, ivar, medium, resolution)
            options = {"dtype": np.float64, "ensure_all_finite": "allow-nan", "reset": False}
            features = validate_data(self, features, **options)
            mean, sigma = self._infer(features, np.isfinite(features).astype(np.float64))
            return Predictions(names, mean, sigma, (len(mean),) if shape is None else shape)
        chosen = {"lower_resolution": lower_resolution, "min_coverage": min_coverage}
        rules = self._instrument_rules() | {name: x for name, x in chosen.items() if x is not None}
        stated = {"medium": medium, "resolution": resolution, "instrument": instrument, "mask": mask}
        batch = adapt(X, ivar=ivar, grid=grid, on_error=on_error, **stated, **rules)
        mean, sigma, details = self._predict_batch(batch)
        if on_error == "raise":
            raise_rejected(batch)  # those that the predictor found no answer for
        self._flag(batch, names, mean)
        return Predictions(names, mean, sigma, batch.shape, batch, details)

    def predict_table(self, X, *, on_error="nan", **given):
        """All labels with their errors, and what is to be known of each spectrum.

        Parameters
        ----------
        X : spectra or array-like
            As for `predict`.
        on_error : {"nan", "raise"}
            By default a spectrum without an answer gives a row of NaN with its flag and the reason.
        **given : object
            `ivar`, `medium`, `resolution`, `instrument`, `mask`, `lower_resolution` and `min_coverage`, as
            for `predict`.

        Returns
        -------
        `~astropy.table.QTable`
            Each label with ``<label>_err``; ``snr``, the median signal-to-noise ratio per pixel;
            ``coverage``, the share of the grid's pixels with information; ``resolution``, the resolving power
            that was stated or assumed; ``chi2``, the reduced χ² of the
            spectrum against a synthetic one of its labels (`specvit.predictors.misfit.misfit`; NaN without
            all five labels); ``flags``, a sum of `~specvit.spectra.Flag`; ``error``, why there is no answer.

        Raises
        ------
        SpectrumError, sklearn.exceptions.NotFittedError, TypeError, ValueError
            As `predict` does; also after a fit on plain features, which have no such table.
        """
        if self._own_grid() is None:
            raise ValueError("predict_table needs spectra: this estimator takes plain features")
        found = self.predict_labels(X, on_error=on_error, **given)
        return found.table(**self._more_columns(found))

    def score(self, X, y, sample_weight=None, *, ivar=None, medium=None, resolution=None):
        """Coefficient of determination R² of `predict`, the mean of those of its labels.

        Parameters
        ----------
        X, ivar, medium, resolution
            As for `predict`.
        y : array-like or Quantity, shape (n,) or (n, n_labels)
            True labels.
        sample_weight : array-like, shape (n,), optional
            Weight of each spectrum.

        Returns
        -------
        float
        """
        found = self.predict_labels(X, ivar=ivar, medium=medium, resolution=resolution)
        truth = np.asarray(getattr(y, "value", y))
        prediction = found.columns(self.output_names)[0]
        return r2_score(truth.reshape(len(prediction), -1), prediction, sample_weight=sample_weight)

    # -- what a subclass says, or changes ------------------------------------------------------------

    def _own_grid(self):
        raise NotImplementedError

    def _infer(self, flux, ivar):
        raise NotImplementedError

    def _label_range(self):
        return {}

    def _instrument_rules(self):
        return ONE_INSTRUMENT

    def _infer_batch(self, batch, rows):
        """What ``_infer`` says of the `rows` of a batch, a mask."""
        return self._infer(batch.flux[rows], batch.ivar[rows])

    def _predict_batch(self, batch):
        """Mean and σ (n, n_labels), NaN where unusable, and what else was found."""
        mean = np.full((len(batch), len(self.label_names)), np.nan)
        sigma, used = mean.copy(), batch.usable
        if used.any():
            mean[used], sigma[used] = self._infer_batch(batch, used)
        return mean, sigma, None

    def _more_columns(self, predictions):
        """Columns of the table beside labels, S/N, coverage, flags and reasons."""
        batch, chi2 = predictions.batch, np.full(len(predictions), np.nan)
        if predictions.names == LABELS:
            chi2 = misfit(batch.flux, batch.ivar, predictions.mean, batch.grid, batch.lsf)
            batch.flags[chi2 > LARGEST_MISFIT] |= int(Flag.OUT_OF_DOMAIN)
        return {"chi2": chi2}

    def _flag(self, batch, names, mean):
        """Flag labels at the end of what was learned, and spectra lost in noise."""
        ranges = self._label_range()
        for k, name in enumerate(names):
            if name in ranges:
                low, high = ranges[name]
                margin = _EDGE * (high - low)
                outside = (mean[:, k] < low + margin) | (mean[:, k] > high - margin)
                batch.flags[outside] |= int(Flag.OUT_OF_DOMAIN)
        batch.flags[batch.usable & ~(batch.snr >= _LOWEST_SNR)] |= int(Flag.LOW_SNR)

    # -- what is accepted ----------------------------------------------------------------------------

    def _training_arrays(self, X, y, grid, *, ivar, medium, resolution, on_error, lower_resolution):
        """What ``fit`` is given in memory: flux and inverse variance (n, n_pixels), and y, float64.

        `grid` None stands for plain features.
        """
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y is None: "
                "only a Survey or SpectrumDataset knows its own labels"
            )
        y = getattr(y, "value", y)
        if grid is None:
            features, _ = self._features(X, ivar, medium, resolution)
            options = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}
            flux, y = validate_data(self, features, y, multi_output=True, y_numeric=True, **options)
            return flux, np.isfinite(flux).astype(np.float64), y
        options = {"on_error": on_error, "lower_resolution": lower_resolution}
        batch = adapt(X, ivar=ivar, grid=grid, medium=medium, resolution=resolution, **options)
        y = real_array(y, "y")
        if y.ndim not in (1, 2) or len(y) != len(batch):
            raise ValueError(f"y must have shape ({len(batch)},) or ({len(batch)}, n_labels), got {y.shape}")
        return batch.flux, batch.ivar, y

    def _features(self, X, ivar, medium, resolution):
        """Plain features, NaN where masked, and the shape of a `SpectrumBatch`."""
        if not (medium is None and resolution is None):
            raise ValueError("medium and resolution are for spectra, not for plain features")
        kind = kind_of(X)
        if kind is Kind.BATCH and ivar is None:
            return np.where(X.ivar > 0, X.flux, np.nan), X.shape
        if kind is not Kind.ARRAY:
            raise TypeError(
                "X must be an array for an estimator of plain features (encoding='none'), got "
                f"{type(X).__name__}"
            )
        if ivar is not None:
            X, weight = real_array(X, "X"), real_array(ivar, "ivar")
            if weight.shape != X.shape:
                raise ValueError(f"ivar must have the shape of X {X.shape}, got {weight.shape}")
            X = np.where(weight > 0, X, np.nan)
        elif hasattr(X, "detach"):
            X = real_array(X, "X")
        return X, None

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags
