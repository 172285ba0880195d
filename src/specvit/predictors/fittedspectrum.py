"""The spectrum of the labels that were predicted, on the pixels of the spectrum they were predicted of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.interpolate import CubicSpline

from specvit.constants import FWHM_PER_SIGMA, SIGMA_PER_MAD, SPEED_OF_LIGHT
from specvit.grid import PixelGrid, edges_from_centres, vacuum_to_air
from specvit.grid.gaussian import smoothing_matrix
from specvit.honesty.linemodel import CONTINUUM_TERMS
from specvit.labels import LABELS
from specvit.predictors.base import Predictor
from specvit.predictors.estimator import LoggEstimator
from specvit.predictors.predictions import Predictions
from specvit.spectra import Flag
from specvit.spectra.kinds import Kind, kind_of
from specvit.spectra.observed import Stated, medium_stated, observe, parts_of
from specvit.spectra.resampling import estimated_variance
from specvit.stars import Emulator, LineCalibration
from specvit.stars.emulator import NATIVE_LSF_FRACTION

__all__ = ["FittedSpectrum", "fitted_spectrum"]

#: Standard error in km/s up to which a velocity is believed.
_LARGEST_ERR = 20.0
#: Length of the spectra in Å to which `CONTINUUM_TERMS` polynomials belong; shorter ones have fewer.
_WHOLE_RANGE, _FEWEST_TERMS = 1750.0, 3
_CLIP, _PASSES = 5.0, 3  # standard deviations beyond which pixels do not bend the continuum


@dataclass(frozen=True, repr=False)
class FittedSpectrum:
    """A spectrum, and that of the labels predicted of it, on its own axis of n pixels.

    Attributes
    ----------
    spectrum : `~specutils.Spectrum`
        As it was given.
    model : `~specutils.Spectrum`
        On the same axis and in the same unit; NaN where the emulator does not reach. ``meta["labels"]`` are
        those it was made for, ``meta["velocity"]`` its radial velocity in km/s.
    residual : ndarray, shape (n,)
        Flux less model over σ; NaN where nothing was used.
    used : ndarray of bool, shape (n,)
        Pixels that the labels were predicted from.
    predictions : Predictions
        Labels, flags and findings of the spectrum.
    medium : {"air", "vacuum"}
        Medium that the wavelengths were taken to be in.
    redshift : float
        Of the spectral axis, as it was stated.
    velocity : float
        Radial velocity in km/s, beyond `redshift`, at which the model is: the one measured, or 0 where that
        is not known to 20 km/s.

    See Also
    --------
    fitted_spectrum : Makes it.
    specvit.assess.plots.plot_fit : Draws it.

    Examples
    --------
    >>> from specvit import example_spectrum
    >>> fitted_spectrum(example_spectrum())
    FittedSpectrum(4096 pixels, 4096 used, velocity ... km/s, rms residual 0.99 σ)
    """

    spectrum: Any
    model: Any
    residual: npt.NDArray[np.float64]
    used: npt.NDArray[np.bool_]
    predictions: Predictions
    medium: str
    redshift: float
    velocity: float

    def __repr__(self) -> str:
        rms = float(np.sqrt(np.nanmean(self.residual**2)))
        return (
            f"FittedSpectrum({self.used.size} pixels, {int(self.used.sum())} used, velocity "
            f"{self.velocity:.1f} km/s, rms residual {rms:.2f} σ)"
        )

    def on_axis(self, wave: npt.ArrayLike, *, at_rest: bool) -> npt.NDArray[np.float64]:
        """Where wavelengths in vacuum lie on the axis of the spectrum, in its unit.

        Parameters
        ----------
        wave : array-like
            Vacuum Å.
        at_rest : bool
            Whether they are those of the star at rest, as lines are, or as observed, as telluric bands are.

        Returns
        -------
        ndarray
        """
        import astropy.units as u

        shift = (1 + self.redshift) * (1 + self.velocity / SPEED_OF_LIGHT) if at_rest else 1.0
        wave = np.asarray(wave, np.float64) * shift
        wave = vacuum_to_air(wave) if self.medium == "air" else wave
        return (wave * u.AA).to_value(self.spectrum.spectral_axis.unit, u.spectral())


def fitted_spectrum(spectrum: Any, estimator: Predictor | None = None, **stated: Any) -> FittedSpectrum:
    r"""Predict the labels of a spectrum, and make the spectrum of these labels on its own axis.

    Parameters
    ----------
    spectrum : `~specutils.Spectrum`
        One, of one dimension.
    estimator : Predictor, optional
        Who predicts, all five labels; by default ``LoggEstimator()``.
    **stated : object
        ``medium``, ``resolution``, ``instrument``, ``mask``, ``velocity`` and further arguments of
        `Predictor.predict`.

    Returns
    -------
    FittedSpectrum

    Raises
    ------
    TypeError, ValueError
        If `spectrum` is not one spectrum, or the estimator does not predict all labels.
    SpectrumError
        If it cannot be used.

    Notes
    -----
    No label is fitted. The model is

    .. math:: m(λ) = C(λ)\, \Big[n_\ell * G\big(\sqrt{σ^2_{\rm LSF} - σ^2_0}\big)\Big]\big(λ / (1 + v/c)\big)
              \sum_k a_k T_k(λ),

    n the calibrated normalised spectrum of the emulator at the predicted labels ℓ, whose own line spread
    function σ₀ (R about 7,000) limits how sharp it is, C its continuum, v the velocity measured, and a up to
    eight coefficients of Chebyshev polynomials, fitted to the pixels used by weighted least squares without
    those that are 5 σ off. Labels beyond the emulator's range are taken at its end.

    Advantage over χ² alone: one sees where a spectrum departs from that of its labels. Disadvantage: what the
    emulator does not know (its lines are off by some per cent of their depth) shows as well, at high S/N in
    all stars.

    Examples
    --------
    >>> from specvit import example_spectrum
    >>> fit = fitted_spectrum(example_spectrum())
    >>> fit.model.flux.unit == fit.spectrum.flux.unit
    True
    """
    if kind_of(spectrum) is not Kind.SPECTRUM:
        raise TypeError(f"spectrum must be one Spectrum, got {type(spectrum).__name__}")
    if spectrum.data.ndim != 1:
        raise ValueError(f"spectrum must have one dimension, got a flux of shape {spectrum.data.shape}")
    estimator = LoggEstimator() if estimator is None else estimator
    if not set(LABELS) <= set(estimator.label_names):
        raise ValueError(f"estimator must predict {', '.join(LABELS)}, got {estimator.label_names}")
    found = estimator.predict_labels(spectrum, **stated)
    said = Stated.of(*(stated.get(name) for name in ("medium", "resolution", "instrument", "mask")))
    parts, grid = parts_of(spectrum), found.batch.grid
    medium = medium_stated(parts, said) or "vacuum"
    if found.batch.flags[0] & Flag.AIR_FOUND:
        medium = "air"
    seen = observe(parts, grid, replace(said, medium=medium))
    variance = (estimated_variance(seen) if seen.variance is None else seen.variance)[0]
    centres = seen.bounds.mean(1)
    used = seen.valid[0] & (variance > 0) & (seen.bounds[:, 1] > grid.edges[0])
    used &= seen.bounds[:, 0] < grid.edges[-1]
    velocity = _velocity(found.findings)
    # A pixel of width w is a line spread function of at least w / sqrt(12), whatever is stated.
    least = np.diff(seen.bounds, axis=1)[:, 0] / np.sqrt(12)
    lsf_sigma = np.maximum(centres / seen.resolution / FWHM_PER_SIGMA, least)
    labels = found.columns(LABELS)[0][0]
    shape = _starlight(labels, centres, lsf_sigma, velocity)
    used &= np.isfinite(shape)
    flux, sigma = seen.flux[0], np.sqrt(np.where(used, variance, 1.0))
    curve = _continuum(centres, flux, sigma, shape, used)
    whole = np.full((2, spectrum.data.size), np.nan)
    whole[0, seen.pixels] = curve * shape / seen.factor
    whole[1, seen.pixels] = np.where(used, (flux - curve * shape) / sigma, np.nan)
    where = np.zeros(spectrum.data.size, bool)
    where[seen.pixels] = used
    meta = {"labels": dict(zip(LABELS, labels.tolist(), strict=True)), "velocity": velocity, "medium": medium}
    return FittedSpectrum(
        spectrum=spectrum,
        model=_like(spectrum, whole[0], meta),
        residual=whole[1],
        used=where,
        predictions=found,
        medium=medium,
        redshift=float(getattr(spectrum.spectral_axis, "redshift", 0.0)),
        velocity=velocity,
    )


def _velocity(findings):
    """Velocity at which the lines of the first spectrum are, 0 where it is not known."""
    value, error = float(findings.velocity[0]), float(findings.velocity_err[0])
    return value if np.isfinite(value) and error < _LARGEST_ERR else 0.0


@lru_cache
def _sharp():
    """The emulator that ships, and the correction of its lines on its own samples."""
    emulator = Emulator.load()
    edges = edges_from_centres(emulator.wave)
    samples = PixelGrid(
        np.append(edges[:, 0], edges[-1, 1]), NATIVE_LSF_FRACTION * np.median(emulator.grid.lsf_sigma)
    )
    return emulator, LineCalibration.load().on(samples)


@torch.no_grad()
def _starlight(labels, wave, lsf_sigma, velocity):
    """Flux, of about 1, of a star of `labels` (5,) at `wave` (n,), ndarray (n,); NaN beyond the emulator."""
    emulator, correction = _sharp()
    labels = torch.as_tensor(labels, dtype=torch.float32)[None]
    labels = torch.minimum(torch.maximum(labels, emulator.label_range[0]), emulator.label_range[1])
    lines, continuum = (x.double().numpy()[0] for x in emulator.coefficients(labels))
    lines = emulator.mean + lines @ emulator.components
    lines = correction(torch.as_tensor(lines, dtype=torch.float32)[None], labels)[0].double().numpy()
    rest = wave / (1 + velocity / SPEED_OF_LIGHT)
    inside = (rest >= emulator.wave[0]) & (rest <= emulator.wave[-1])
    own = NATIVE_LSF_FRACTION * np.interp(rest, emulator.grid.wave, emulator.grid.lsf_sigma)
    # Kernels narrower than the sampling would jump from one sample to the next.
    least = 0.6 * np.median(np.diff(emulator.wave))
    kernel = np.maximum(np.sqrt(np.maximum(lsf_sigma**2 - own**2, 0)), least)[inside]
    smooth = smoothing_matrix(emulator.wave, kernel, wave[inside], velocity, ends="cut")
    log_continuum = emulator.continuum_mean + continuum @ emulator.continuum_components
    flux = np.full(wave.size, np.nan)
    curve = CubicSpline(emulator.continuum_wave, log_continuum - np.median(log_continuum))
    flux[inside] = (smooth @ lines) * np.exp(curve(rest[inside]))
    return flux


def _continuum(wave, flux, sigma, shape, used):
    """Polynomial that brings `shape` to `flux`, ndarray (n,)."""
    span = np.ptp(wave[used])
    terms = max(_FEWEST_TERMS, round(1 + (CONTINUUM_TERMS - 1) * min(span / _WHOLE_RANGE, 1)))
    middle = 0.5 * (wave[used].max() + wave[used].min())
    basis = np.polynomial.chebyshev.chebvander(np.clip((wave - middle) / (span / 2), -1, 1), terms - 1)
    kept = used
    for _ in range(_PASSES):
        columns, target = (x[kept] for x in (basis * (shape / sigma)[:, None], flux / sigma))
        curve = basis @ np.linalg.lstsq(columns, target, rcond=None)[0]
        residual = np.abs(flux - curve * shape) / sigma
        kept = used & (residual <= _CLIP * max(1.0, SIGMA_PER_MAD * np.median(residual[used])))
    return curve


def _like(spectrum, flux, meta):
    """A spectrum of `flux`, in the unit of another or in that which it is the logarithm of, on its axis."""
    unit = getattr(spectrum.unit, "physical_unit", spectrum.unit) or 1
    values = flux * unit
    if hasattr(spectrum.unit, "physical_unit"):
        values = values.to(spectrum.unit)
    return type(spectrum)(flux=values, spectral_axis=spectrum.spectral_axis, meta=meta)
