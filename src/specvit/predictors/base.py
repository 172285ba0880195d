"""`Predictor`, the base of all predictors: which spectra they accept, and what they return for them."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import validate_data

from specvit.labels import label_tuple
from specvit.predictors.piecewise import answered, in_pieces
from specvit.predictors.plainfeatures import plain_features
from specvit.predictors.predictions import Predictions, warn_of_alarms
from specvit.predictors.resulttables import honesty_columns
from specvit.predictors.trainingarrays import r2_of_labels
from specvit.spectra import adapt
from specvit.spectra.kinds import Kind, kind_of
from specvit.spectra.rules import ONE_INSTRUMENT

__all__ = ["Predictor"]


class Predictor(RegressorMixin, BaseEstimator):
    """Base of `~specvit.LoggEstimator`, Ridge, LightGBM and the χ² fit.

    It accepts spectra, returns labels with units, and flags; the subclasses differ in how they find the
    labels. A subclass has ``fit``, the parameter `labels`, `label_names`, and four methods. ``_own_grid()``
    returns the `~specvit.PixelGrid` of its spectra, or None where it was fitted on plain features.
    ``_infer(flux, ivar)`` returns mean and σ (n, n_labels) of usable spectra on that grid. ``_label_range()``
    is optional and returns the lowest and highest value of each label that it has learned from.
    ``_instrument_rules()`` is optional and returns the lowest resolution and coverage answered by default;
    ``_covariance(batch, details)`` too: that of the errors, (n, n_labels, n_labels), for `given`.

    See Also
    --------
    specvit.predictors.LabelPredictor : The protocol for predictors that have another base.

    Examples
    --------
    >>> from specvit import PFS_MR, example_spectrum
    >>> class Constant(Predictor):
    ...     labels, label_names = None, ("logg",)
    ...     def _own_grid(self):
    ...         return PFS_MR
    ...     def _infer(self, flux, ivar):
    ...         return np.full((len(flux), 1), 2.5), np.full((len(flux), 1), 1.0)
    >>> Constant().predict(example_spectrum())
    <Dex 2.5 dex(cm / s2)>
    """

    #: Names of the columns of a two-dimensional `y` of ``fit``, else None.
    columns_ = None

    @property
    def label_names(self):
        """Labels that the predictor knows, which `predict_labels` and `predict_table` give: a tuple of str.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is nothing yet to predict with.
        """
        raise NotImplementedError

    @property
    def output_names(self):
        """Labels that `predict` gives, a tuple of str.

        They are those of the parameter `labels`; if that is None, the columns of a two-dimensional `y` of
        ``fit``; without such a `y`, log g; and if log g is not among `label_names`, all of these.

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
        velocity=None,
        given=None,
    ):
        """Surface gravity, or the labels that the parameter `labels` asks for (see `output_names`).

        Parameters
        ----------
        X : Spectrum, list, SpectrumCollection, SpectrumBatch, or array-like of shape (n, n_pixels)
            Spectra of any axis and unit (see `specvit.spectra.adapt`), spectra that are on the grid already,
            or fluxes on the grid, (n_pixels,) for one. Of many only some are read at a time: arrays of HDF5
            or Zarr may be larger than the memory.
        return_std : bool
            Also return the standard error.
        ivar : array-like, shape of `X`, optional
            Inverse variance, for arrays only; 0 masks a pixel. Without it the noise is estimated from the
            pixel-to-pixel scatter.
        medium : {"air", "vacuum"}, optional
            Medium of the wavelengths of all spectra. By default the one that a spectrum states, and vacuum
            for one that states none, which is flagged.
        resolution : float or array-like, optional
            Resolving power λ/FWHM of all spectra. By default the one that a spectrum states, and that of the
            grid for one that states none, which is flagged.
        instrument : str or Instrument, optional
            What took the spectra, a preset by name (`specvit.grid.INSTRUMENTS`) or one's own: gives medium,
            resolution and native pixels that they do not state, and masks telluric bands if on the ground.
        mask : str, (float, float) or sequence of these, optional
            Wavelengths not to be used, as observed: ``"telluric"``, ``"none"``, or windows in vacuum Å.
        on_error : {"raise", "nan"}
            What happens to a spectrum without an answer: "raise" stops with the reason; "nan" returns NaN.
        lower_resolution : {"raise", "flag"} or float, optional
            What to do with spectra of lower resolution than the grid's: refuse them, flag them, or flag them
            down to a resolving power. By default networks that are told of the instrument (encoding
            ``instrument``) flag down to R = 1350; all others refuse.
        min_coverage : float, optional
            Least share of the grid's pixels with information. By default 0.05 for networks that are told of
            the instrument, 0.5 for all others.
        velocity : {"fit"}, optional
            Measure the radial velocity of each spectrum, up to ±600 km/s, remove it and predict again: for
            spectra that were not brought to rest. By default spectra are taken to be at rest to ±20 km/s, and
            others are flagged.
        given : dict of str to (value, σ), optional
            What is known of labels from elsewhere, as ``{"teff": (4750, 50)}``: one value or one a spectrum,
            NaN where unknown. All labels are conditioned on it (`specvit.predictors.knowledge.condition`).

        Returns
        -------
        mean : Quantity, dict of str to Quantity, or ndarray
            For spectra a quantity of their shape (a scalar for one), log g as `~astropy.units.Dex` in
            dex(cm/s²); for several labels a dict of such quantities by name. For arrays plain floats in the
            labels' units, of shape (n,), or () for one spectrum; for several labels, or if the `y` of ``fit``
            had two dimensions, with a last axis of labels.
        sigma : Quantity, dict of str to Quantity, or ndarray
            Standard error in the form of `mean`, if `return_std`; that of log g is in dex.

        Raises
        ------
        SpectrumError
            If a spectrum cannot be used: which one, and which rule.
        sklearn.exceptions.NotFittedError
            If there is nothing yet to predict with.
        TypeError, ValueError
            If `X` is not on the grid, or an argument does not go with it.

        Warns
        -----
        specvit.exceptions.AlarmWarning
            Once, with counts, if spectra raise an alarm (`~specvit.spectra.Flag`): not to be trusted.
        """
        names = self.output_names
        options = {"ivar": ivar, "medium": medium, "resolution": resolution, "instrument": instrument}
        options |= {"mask": mask, "lower_resolution": lower_resolution, "min_coverage": min_coverage}
        found = self._found(X, on_error=on_error, velocity=velocity, given=given, **options)
        if found.batch is not None:
            warn_of_alarms(found.batch)
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
        velocity=None,
        given=None,
    ):
        """All labels as plain numbers, from which `predict`, `predict_table` and `specvit.assess` start.

        Parameters
        ----------
        X, ivar, medium, resolution, instrument, mask, on_error : object
            As for `predict`.
        lower_resolution, min_coverage, velocity, given : object
            As for `predict`.

        Returns
        -------
        Predictions
            Its ``names``, ``mean`` and ``sigma`` (n, n_labels), and the ``batch`` of spectra on the grid.

        Raises
        ------
        SpectrumError, sklearn.exceptions.NotFittedError, TypeError, ValueError
            As `predict` does.
        """
        if velocity not in (None, "fit"):
            raise ValueError(
                f"velocity must be None or 'fit', got {velocity!r}: a known velocity is stated by the "
                "spectral axis, as Spectrum(…, radial_velocity=30 * u.km / u.s)"
            )
        names, grid = self.label_names, self._own_grid()
        if grid is None:
            if not all(one is None for one in (instrument, mask, velocity, given)):
                raise ValueError("instrument, mask, velocity, given are for spectra, not for plain features")
            features, shape = plain_features(X, ivar, medium, resolution)
            options = {"dtype": np.float64, "ensure_all_finite": "allow-nan", "reset": False}
            features = np.require(validate_data(self, features, **options), requirements="CW")
            mean, sigma = self._infer(features, np.isfinite(features).astype(np.float64))
            return Predictions(names, mean, sigma, (len(mean),) if shape is None else shape)
        stated = {"medium": medium, "resolution": resolution, "instrument": instrument, "mask": mask}
        stated |= {"lower_resolution": lower_resolution, "min_coverage": min_coverage}
        batch = adapt(X, ivar=ivar, grid=grid, on_error=on_error, **self._adapting(**stated))
        return answered(self, batch, on_error=on_error, velocity=velocity, given=given)

    def predict_table(
        self,
        X,
        *,
        ivar=None,
        medium=None,
        resolution=None,
        instrument=None,
        mask=None,
        on_error="nan",
        lower_resolution=None,
        min_coverage=None,
        velocity=None,
        given=None,
    ):
        """A table of all labels with their errors, and of the quality of each spectrum.

        Parameters
        ----------
        X, ivar, medium, resolution, instrument, mask, lower_resolution, min_coverage, velocity, given
            As for `predict`.
        on_error : {"nan", "raise"}
            By default a spectrum without an answer gives a row of NaN with its flag and the reason.

        Returns
        -------
        `~astropy.table.QTable`
            Each label with ``<label>_err``; ``snr``, the median signal-to-noise ratio per pixel;
            ``coverage``, the share of the grid's pixels with information; ``resolution``, the resolving power
            that was stated or assumed; what the spectrum itself says (NaN without all five labels):
            ``velocity``, ``broadening``, the σ of a Gaussian beyond the line spread function, ``dilution``,
            the share of light without lines, each with ``_err``, and ``chi2``, reduced, of pairs of
            pixels against the synthetic spectrum of the labels; ``flags``, a sum of
            `~specvit.spectra.Flag`, of which those of ``Flag.ALARMS`` say that the answer is not to be
            trusted; ``error``, why there is no answer.

        Raises
        ------
        SpectrumError, sklearn.exceptions.NotFittedError, TypeError, ValueError
            As `predict` does; also after a fit on plain features, which have no such table.
        """
        if self._own_grid() is None:
            raise ValueError("predict_table needs spectra: this estimator takes plain features")
        options = {"ivar": ivar, "medium": medium, "resolution": resolution, "instrument": instrument}
        options |= {"mask": mask, "lower_resolution": lower_resolution, "min_coverage": min_coverage}
        found = self._found(X, on_error=on_error, velocity=velocity, given=given, **options)
        table = found.table(**self._more_columns(found))
        table.meta["WEIGHTS"] = self._source_name()
        return table

    def score(self, X, y, sample_weight=None, *, ivar=None, medium=None, resolution=None):
        """Coefficient of determination R² of `predict`, the mean of those of its labels.

        Parameters
        ----------
        X, ivar, medium, resolution
            As for `predict`.
        y : array-like, Quantity or table, shape (n,), (n, n_labels), or that of the spectra
            True labels, as for ``fit``; finite.
        sample_weight : array-like, shape (n,), optional
            Relative weight of each spectrum.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If `y` does not match the labels of `predict`, or weights are no weights.
        """
        found = self.predict_labels(X, ivar=ivar, medium=medium, resolution=resolution)
        return r2_of_labels(found, self.output_names, y, sample_weight)

    # -- for subclasses to define or replace ---------------------------------------------------------

    def _own_grid(self):
        raise NotImplementedError

    def _infer(self, flux, ivar):
        raise NotImplementedError

    def _label_range(self):
        return {}

    def _found(self, X, **options):
        return in_pieces(self, X, **options)

    def _adapting(self, **stated):
        """Options of `adapt`: what the user stated, and the rules of the predictor where nothing is."""
        rules = self._instrument_rules()
        return rules | {name: x for name, x in stated.items() if name not in rules or x is not None}

    def _instrument_rules(self):
        return ONE_INSTRUMENT

    def _infer_batch(self, batch, rows):
        """What ``_infer`` says of the `rows` of a batch, a mask or a slice."""
        return self._infer(batch.flux[rows], batch.ivar[rows])

    def _predict_batch(self, batch):
        """Mean and σ (n, n_labels), NaN where unusable, and what else was found."""
        mean = np.full((len(batch), len(self.label_names)), np.nan)
        sigma, used = mean.copy(), batch.usable
        if used.any():
            rows = slice(None) if used.all() else used  # a mask would copy
            mean[used], sigma[used] = self._infer_batch(batch, rows)
        return mean, sigma, None

    def _source_name(self):  # what the labels come from, for the metadata of tables
        return f"{type(self).__name__}, fitted"

    def _more_columns(self, predictions):  # beside labels, S/N, coverage, flags and reasons
        return honesty_columns(predictions.findings)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags
