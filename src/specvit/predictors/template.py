"""χ² fits of emulated spectra, the classical method, which needs no training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from specvit.labels import LABELS
from specvit.predictors.base import Predictor
from specvit.predictors.parameterrules import TEMPLATE, check_parameters
from specvit.predictors.templatefits import TemplateResult, fit_spectra
from specvit.predictors.templatemodel import LabelCube, TemplateModel
from specvit.predictors.trainingdata import is_source
from specvit.spectra import Flag, adapt
from specvit.spectra.arrays import check_array_shape
from specvit.spectra.kinds import Kind, kind_of
from specvit.stars import Emulator
from specvit.survey import Survey

__all__ = ["TemplateFit", "TemplateResult"]


class TemplateFit(Predictor):
    r"""Labels of least χ² against emulated spectra, by batched Levenberg–Marquardt.

    Each spectrum is compared with a library of templates; from the best of them, and others far from
    these, bounded Gauss–Newton steps with analytic derivatives lead to

    .. math:: \min_{\ell, a, v} \sum_i \frac{[f_i - (\sum_j a_j T_j) m_i(\ell, v)]^2}{σ_i^2}

    with σ the reported errors.

    Parameters
    ----------
    emulator : Emulator, optional
        Emulator of the spectra; by default that of the survey in `fit`, or the one that ships.
    prior : LabelPrior, optional
        Labels stay within its support, or within the ``ranges`` of a prior of another kind; by default
        that of the survey in `fit`, or the emulator's range.
    gaussian : "prior" or dict of str to (float, float), optional
        A Gaussian prior, with which the result is the maximum of the posterior: mean and σ of labels, as in
        ``{"teff": (4800, 100)}``, or "prior" for mean and σ of the labels under `prior`. By default there is
        none.
    continuum : int
        Order of the Chebyshev polynomial that multiplies the model; 0 is the amplitude.
    max_velocity : float, optional
        Largest |v| in km/s of a radial velocity that is fitted too; by default spectra are at rest.
    labels : str or sequence of str, optional
        Labels that `predict` gives, in any spelling; by default log g. All five are fitted.
    n_templates : int
        Number of templates in the library.
    n_starts : int
        Fits of each spectrum from different templates, the best of which is kept.
    tol : float
        Fits stop when the next step would be smaller than this, in units of σ.
    max_iter : int
        Largest number of steps of a fit.
    batch_size : int
        Spectra fitted at once.
    device : str or torch.device
        Where fits are made.
    random_state : int
        Seed of the library's labels, a scrambled Sobol sequence.

    Attributes
    ----------
    label_names : tuple of str
        The five labels, all of which are fitted.
    output_names : tuple of str
        Labels that `predict` gives.
    model_ : object
        The emulator's spectra and derivatives within the support of the prior; set by `fit`, like what
        follows. Without a fit `predict` makes it for the emulator that ships.
    library_ : tuple of tensor
        Points of the unit cube and the spectra there, from which fits begin.
    n_features_in_ : int
        Pixels of the spectra.

    See Also
    --------
    specvit.LoggEstimator : The network, which is used in the same way.
    specvit.limits.survey_fisher : The errors that no unbiased estimator can beat.

    Notes
    -----
    Advantages: it needs no training; each star has errors of its own, with covariances; labels of bright
    stars are nearly unbiased; χ² tells whether the model fits. Disadvantages: it is a hundred times slower
    than a network; it is only as good as the emulator and the errors of the flux; without a prior the labels
    of faint stars scatter more than those of an estimator that knows the prior.

    Examples
    --------
    >>> from specvit import Survey
    >>> from specvit.predictors import TemplateFit
    >>> survey = Survey("paper", seed=1)
    >>> bright = survey.observe([4800, 2.5, -0.5, 0.1, 0.0], magnitude=17)
    >>> template = TemplateFit(labels=("logg",), n_starts=1).fit(survey)
    >>> logg, sigma = template.predict(bright.flux, ivar=bright.ivar, return_std=True)
    >>> bool(abs(logg[0] - 2.5) < 4 * sigma[0])
    True
    """

    def __init__(
        self,
        emulator: Emulator | None = None,
        *,
        prior: Any = None,
        gaussian: Any = None,
        continuum: int = 0,
        max_velocity: float | None = None,
        labels: str | Sequence[str] | None = None,
        n_templates: int = 2048,
        n_starts: int = 2,
        tol: float = 1e-2,
        max_iter: int = 100,
        batch_size: int = 64,
        device: Any = "cpu",
        random_state: Any = 0,
    ) -> None:
        self.emulator = emulator
        self.prior = prior
        self.gaussian = gaussian
        self.continuum = continuum
        self.max_velocity = max_velocity
        self.labels = labels
        self.n_templates = n_templates
        self.n_starts = n_starts
        self.tol = tol
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.device = device
        self.random_state = random_state

    @property
    def label_names(self):
        """The five labels, a tuple of str."""
        return LABELS

    def fit(
        self,
        X: Any = None,
        y: Any = None,
        *,
        ivar: Any = None,
        medium: Any = None,
        resolution: Any = None,
        on_error: Any = "raise",
        lower_resolution: Any = "raise",
    ) -> TemplateFit:
        """Check the parameters and make the library of templates; there is nothing to learn.

        Parameters
        ----------
        X : Survey, SpectrumDataset, spectra, SpectrumBatch or array-like of shape (n, n_pixels), optional
            Emulator and prior are those of a survey, where the constructor names none. Of anything else only
            the pixels are checked.
        y, ivar, medium, resolution, on_error, lower_resolution
            Not used: they are there so that all predictors can be fitted alike.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of range, or the pixels are not those of the emulator.
        """
        self.model_, self.library_ = self._prepare(X)
        self.n_features_in_ = len(self.model_.emulator.grid)
        return self

    def solve(
        self,
        X,
        *,
        ivar=None,
        medium=None,
        resolution=None,
        on_error="nan",
        lower_resolution="raise",
    ):
        """Fit spectra, and tell everything of the fits.

        Parameters
        ----------
        X, ivar, medium, resolution, lower_resolution
            As for `predict`.
        on_error : {"nan", "raise"}
            What a spectrum that cannot be used gives.

        Returns
        -------
        TemplateResult
            Labels, covariances, χ², continuum and velocity of each spectrum, converged or not.
        """
        options = {"medium": medium, "resolution": resolution}
        options |= {"on_error": on_error, "lower_resolution": lower_resolution}
        return self._predict_batch(adapt(X, ivar=ivar, grid=self._own_grid(), **options))[2]

    def predict_table(self, X: Any, *, on_error: str = "nan", **given: Any) -> Any:
        """All labels with their errors, and how the fits went.

        Parameters
        ----------
        X, on_error, **given
            As of all predictors.

        Returns
        -------
        `~astropy.table.QTable`
            As of all predictors, and: ``velocity`` and ``velocity_err`` if fitted; ``chi2``, the reduced χ²
            of the fit, with ``dof``; ``n_iter``; ``converged``; ``at_bound``, the labels at the end of their
            range, joined by commas.
        """
        return super().predict_table(X, on_error=on_error, **given)

    def __sklearn_is_fitted__(self):
        return True

    # -- the work ----------------------------------------------------------------------------------

    def _ready(self):
        """Model and library: those of `fit`, or made once for the emulator that ships."""
        if hasattr(self, "model_"):
            return self.model_, self.library_
        parameters = list(self.get_params(deep=False).values())
        before, made = getattr(self, "_made", ((), None))
        if made is None or any(a is not b for a, b in zip(before, parameters, strict=True)):
            made = self._prepare(None)
            self._made = parameters, made
        return made

    def _own_grid(self):
        return self._ready()[0].emulator.grid

    def _predict_batch(self, batch):
        model, library = self._ready()
        options = {name: getattr(self, name) for name in ("n_starts", "tol", "max_iter", "batch_size")}
        result = fit_spectra(model, library, batch, **options)
        batch.flags[result.at_bound.any(1)] |= int(Flag.OUT_OF_DOMAIN)
        for row in np.flatnonzero(batch.usable & ~result.converged):
            reason = f"no fit of positive amplitude has converged in {self.max_iter} steps"
            batch.errors[row] = reason  # its S/N and coverage stay known
            batch.flags[row] |= int(Flag.UNUSABLE)
        converged = result.converged[:, None]
        mean, sigma = (np.where(converged, values, np.nan) for values in (result.labels, result.sigma))
        return mean, sigma, result

    def _covariance(self, batch, details):
        return details.covariance

    def _more_columns(self, predictions):
        result, more = predictions.details, super()._more_columns(predictions)
        if self.max_velocity is not None:
            from astropy import units as u

            more["velocity"] = np.where(result.converged, result.velocity, np.nan) * u.km / u.s
            more["velocity_err"] = np.where(result.converged, result.velocity_sigma, np.nan) * u.km / u.s
        more["chi2"] = result.chi2 / result.dof
        more |= {name: getattr(result, name) for name in ("dof", "n_iter", "converged")}
        at_bound = [", ".join(np.array(LABELS)[row]) for row in result.at_bound]
        return more | {"at_bound": at_bound}

    def _prepare(self, X):
        check_parameters(self, TEMPLATE)
        for name in ("n_templates", "n_starts", "max_iter", "batch_size"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        if not self.tol > 0:
            raise ValueError(f"tol must be positive, got {self.tol!r}")
        if self.continuum < 0:
            raise ValueError(f"continuum must not be negative, got {self.continuum!r}")
        if self.max_velocity is not None and not 0 < self.max_velocity <= 100:
            raise ValueError(f"max_velocity must be above 0 and at most 100 km/s, got {self.max_velocity!r}")
        _ = self.output_names
        prior, emulator = self.prior, self.emulator
        if isinstance(X, Survey):
            prior = X.prior if prior is None else prior
            emulator = X.emulator if emulator is None else emulator
        emulator = Emulator.load() if emulator is None else emulator
        if is_source(X) or kind_of(X) is Kind.BATCH:
            if X.grid not in (None, emulator.grid):
                raise ValueError(f"X must be on the grid of the emulator, {emulator.grid!r}, got {X.grid!r}")
        elif X is not None and kind_of(X) is Kind.ARRAY:
            check_array_shape(np.shape(X), emulator.grid)
        cube = LabelCube(emulator.label_range.double().cpu().numpy(), prior)
        gaussian = _gaussian(self.gaussian, prior)
        model = TemplateModel(emulator, cube, self.continuum, self.max_velocity, gaussian, self.device)
        return model, model.library(self.n_templates, self.random_state)


def _gaussian(gaussian, prior):
    """Mean and σ of the Gaussian prior of each label, or None."""
    if gaussian is None:
        return None
    if isinstance(gaussian, str) and gaussian == "prior":
        if prior is None:
            raise ValueError("gaussian='prior' needs a prior, or a survey in fit")
        labels = prior.sample(100_000, np.random.default_rng(0))
        return labels.mean(0), labels.std(0)
    if not isinstance(gaussian, Mapping) or set(gaussian) - set(LABELS):
        raise ValueError(f"gaussian must be 'prior' or a dict with keys among {LABELS}, got {gaussian!r}")
    mean, sigma = np.zeros(len(LABELS)), np.full(len(LABELS), np.inf)
    for name, (centre, width) in gaussian.items():
        if not (np.isfinite(centre) and width > 0):
            raise ValueError(
                f"gaussian[{name!r}] must be a finite mean and a positive σ, got {(centre, width)}"
            )
        mean[LABELS.index(name)], sigma[LABELS.index(name)] = centre, width
    return mean, sigma
