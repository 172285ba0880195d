"""χ² fits of emulated spectra: what is done without a network."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin

from specvit.dataset import SpectrumDataset
from specvit.labels import LABELS
from specvit.predictors.features import holds_spectra
from specvit.predictors.prediction import label_unit
from specvit.predictors.templatefits import TemplateResult, fit_spectra
from specvit.predictors.templatemodel import LabelCube, TemplateModel
from specvit.spectra import SpectrumBatch, adapt
from specvit.stars import Emulator
from specvit.survey import Survey

__all__ = ["TemplateFit", "TemplateResult"]


class TemplateFit(RegressorMixin, BaseEstimator):
    r"""Labels of least χ² against emulated spectra, by batched Levenberg–Marquardt.

    Each spectrum is compared with a library of templates; from the best of them, and others far from
    these, bounded Gauss–Newton steps with analytic derivatives lead to

    .. math:: \min_{\ell, a, v} \sum_i \frac{[f_i - (\sum_j a_j T_j) m_i(\ell, v)]^2}{σ_i^2}

    with σ the reported errors. It needs no training and gives each star its own error; without a prior
    its labels are nearly unbiased for bright stars, and scatter more than those of any estimator that
    knows the prior for faint ones.

    Parameters
    ----------
    emulator : Emulator, optional
        By default that of the survey in `fit`, or the one that ships.
    prior : LabelPrior, optional
        Labels stay within its support, or within the ``ranges`` of a prior of another kind; by default
        that of the survey in `fit`, or the emulator's range.
    gaussian : "prior" or dict of str to (float, float), optional
        A Gaussian prior, so that the result is the maximum of the posterior: mean and σ of labels, as
        ``{"teff": (4800, 100)}``, or those of the labels under `prior`. By default there is none.
    continuum : int
        Order of the Chebyshev polynomial that multiplies the model; 0 is the amplitude.
    max_velocity : float, optional
        Fit a radial velocity of at most so many km/s; by default spectra are at rest.
    labels : tuple of str, optional
        What `predict` returns of the five labels, all of which are fitted; by default all.
    n_templates : int
        Size of the library.
    n_starts : int
        Fits of each spectrum from different templates, the best of which is kept.
    tol : float
        Fits stop when the next step would be below this in units of σ.
    max_iter : int
        Most steps.
    batch_size : int
        Spectra fitted at once.
    device : str or torch.device
    random_state : int
        Seed of the library's labels, a scrambled Sobol sequence.

    Attributes
    ----------
    label_names : tuple of str
    model_ : object
        The emulator's spectra and derivatives within the support of the prior; set by `fit`.

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
        emulator=None,
        *,
        prior=None,
        gaussian=None,
        continuum=0,
        max_velocity=None,
        labels=None,
        n_templates=2048,
        n_starts=2,
        tol=1e-2,
        max_iter=100,
        batch_size=64,
        device="cpu",
        random_state=0,
    ):
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
        """Labels that `predict` returns."""
        names = LABELS if self.labels is None else self.labels
        names = (names,) if isinstance(names, str) else tuple(names)
        if not names or set(names) - set(LABELS):
            raise ValueError(f"labels must be among {LABELS}, got {self.labels!r}")
        return names

    def fit(self, X=None, y=None, *, ivar=None):
        """Check the parameters and make the library of templates; nothing is learned.

        Parameters
        ----------
        X : Survey, SpectrumDataset, spectra or array-like of shape (n, n_pixels), optional
            Emulator and prior are those of a survey, where the constructor names none. Of anything else only
            the pixels are checked.
        y, ivar
            Not used.

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

    def solve(self, X, *, ivar=None):
        """Fit spectra; parameters as for `predict`. Returns a `~specvit.predictors.TemplateResult`."""
        model, library = self._ready()
        return self._solve(model, library, self._adapt(model, X, ivar))

    def predict(self, X, return_std=False, *, ivar=None):
        """Labels of spectra.

        Parameters
        ----------
        X : array-like (n, n_pixels), SpectrumBatch or specutils spectra
            Arrays on the emulator's grid.
        return_std : bool
            Also return the standard errors.
        ivar : array-like, shape (n, n_pixels), optional
            Inverse variance of an array, 0 where masked; estimated from the scatter if not given.

        Returns
        -------
        mean : ndarray, shape (n,) or (n, n_labels)
            One-dimensional for one label. NaN where a spectrum could not be used or its fit did not
            converge; `solve` tells which.
        sigma : ndarray
            If `return_std`. Of a label at the end of its range it means little: see
            `~specvit.predictors.TemplateResult`.
        """
        result = self.solve(X, ivar=ivar)
        columns = [LABELS.index(name) for name in self.label_names]
        mean, sigma = (
            np.where(result.converged[:, None], values, np.nan)[:, columns]
            for values in (result.labels, result.sigma)
        )
        if len(columns) == 1:
            mean, sigma = mean[:, 0], sigma[:, 0]
        return (mean, sigma) if return_std else mean

    def predict_table(self, X, *, ivar=None):
        """All labels with their errors, and how the fits went.

        Returns
        -------
        `~astropy.table.QTable`
            Each label with ``<label>_err``, NaN where not converged; ``chi2``, ``dof``, ``n_iter``,
            ``converged``; ``at_bound``, the labels at the end of their range, joined by commas; ``velocity``
            and ``velocity_err`` if fitted; ``snr``; ``flags``, a sum of `~specvit.spectra.Flag`; ``error``,
            why a spectrum was not used.
        """
        from astropy import units as u
        from astropy.table import QTable

        model, library = self._ready()
        batch = self._adapt(model, X, ivar)
        result = self._solve(model, library, batch)
        table = QTable()
        for k, name in enumerate(LABELS):
            unit, error_unit = label_unit(name)
            table[name] = np.where(result.converged, result.labels[:, k], np.nan) * unit
            table[f"{name}_err"] = np.where(result.converged, result.sigma[:, k], np.nan) * error_unit
        if self.max_velocity is not None:
            table["velocity"] = np.where(result.converged, result.velocity, np.nan) * u.km / u.s
            table["velocity_err"] = np.where(result.converged, result.velocity_sigma, np.nan) * u.km / u.s
        for name in ("chi2", "dof", "n_iter", "converged"):
            table[name] = getattr(result, name)
        table["at_bound"] = [", ".join(np.array(LABELS)[row]) for row in result.at_bound]
        table["snr"], table["flags"] = batch.snr, batch.flags
        table["error"] = [reason or "" for reason in batch.errors]
        return table

    def __sklearn_is_fitted__(self):
        return True

    # -- the work ----------------------------------------------------------------------------------

    def _ready(self):
        """Model and library: those of `fit`, or made now."""
        return (self.model_, self.library_) if hasattr(self, "model_") else self._prepare(None)

    def _prepare(self, X):
        for name in ("n_templates", "n_starts", "max_iter", "batch_size"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        if not self.tol > 0:
            raise ValueError(f"tol must be positive, got {self.tol!r}")
        if self.continuum < 0:
            raise ValueError(f"continuum must not be negative, got {self.continuum!r}")
        if self.max_velocity is not None and not 0 < self.max_velocity <= 100:
            raise ValueError(f"max_velocity must be above 0 and at most 100 km/s, got {self.max_velocity!r}")
        _ = self.label_names
        prior, emulator = self.prior, self.emulator
        if isinstance(X, Survey):
            prior = X.prior if prior is None else prior
            emulator = X.emulator if emulator is None else emulator
        emulator = Emulator.load() if emulator is None else emulator
        if isinstance(X, Survey | SpectrumDataset | SpectrumBatch):
            if X.grid not in (None, emulator.grid):
                raise ValueError(f"X must be on the grid of the emulator, {emulator.grid!r}, got {X.grid!r}")
        elif X is not None and not holds_spectra(X) and np.shape(X)[-1:] != (len(emulator.grid),):
            raise ValueError(f"X must have shape (n, {len(emulator.grid)}), got {np.shape(X)}")
        cube = LabelCube(emulator.label_range.double().cpu().numpy(), prior)
        gaussian = _gaussian(self.gaussian, prior)
        model = TemplateModel(emulator, cube, self.continuum, self.max_velocity, gaussian, self.device)
        return model, model.library(self.n_templates, self.random_state)

    def _solve(self, model, library, batch):
        return fit_spectra(
            model,
            library,
            batch,
            n_starts=self.n_starts,
            tol=self.tol,
            max_iter=self.max_iter,
            batch_size=self.batch_size,
        )

    @staticmethod
    def _adapt(model, X, ivar):
        grid = model.emulator.grid
        if isinstance(X, SpectrumBatch):
            if ivar is not None:
                raise ValueError("ivar is for arrays: a SpectrumBatch has its own")
            if X.grid != grid:
                raise ValueError(f"X must be on the grid of the emulator, {grid!r}, got {X.grid!r}")
            return X
        X, ivar = (v.detach().cpu().numpy() if isinstance(v, torch.Tensor) else v for v in (X, ivar))
        return adapt(X, ivar=ivar, grid=grid, on_error="nan")


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
