"""Conversion of flux, uncertainty and wavelength with units to plain numbers.

Astropy is imported by the functions that meet a unit: arrays on the grid never pay for it.
"""

from __future__ import annotations

import numpy as np

from specvit.spectra.batch import SpectrumError
from specvit.spectra.given import numbers_given

__all__ = [
    "flux_factor",
    "linear_flux",
    "resolving_power",
    "variance_from",
    "variance_of_logarithm",
    "wavelength_in_angstrom",
]

# F_λ, L_λ (models) and surface brightness: the network needs the shape only.
_DENSITIES = ("erg / (s cm2 Angstrom)", "erg / (s Angstrom)", "erg / (s cm2 Angstrom sr)")
# astropy would take these for ν F_ν; they may as well be the energy collected in each pixel.
_INTEGRATED = ("erg / (s cm2)", "erg / s", "erg / (s cm2 sr)")


def wavelength_in_angstrom(axis, name="spectral_axis"):
    """Wavelengths in Å of a spectral Quantity (wavelength, wavenumber, frequency or energy).

    Parameters
    ----------
    axis : astropy.units.Quantity
        Spectral axis; a frequency or an energy becomes the wavelength c/ν, hc/E.
    name : str
        Name of the spectrum, for messages.

    Returns
    -------
    numpy.ndarray of float64

    Raises
    ------
    SpectrumError
        If a wavelength is masked, if the unit is none of these (pixels, velocities), or if the values are
        0, 1, 2 … or 1, 2, 3 …: these are the numbers of the pixels, which a reader that finds no wavelengths
        gives with a unit.
    """
    from astropy import units as u

    if (hidden := numbers_given(axis, name, SpectrumError).n_masked) > 0:
        raise SpectrumError(f"{name} must not be masked, got {hidden} masked of {np.size(axis)} wavelengths")
    axis = u.Quantity(getattr(axis, "unmasked", axis), subok=False)
    if not axis.unit.is_equivalent(u.AA, u.spectral()):
        raise SpectrumError(
            f"{name} must be a wavelength, frequency, energy or wavenumber, got unit {str(axis.unit)!r}"
        )
    is_length = axis.unit.is_equivalent(u.AA)
    if _counts_pixels(axis.value) or (is_length and _counts_pixels(axis.to_value(u.AA))):
        raise SpectrumError(
            f"{name} must hold wavelengths, got the numbers of its {axis.size} pixels in {axis.unit}: "
            "the file states no wavelengths where its reader looked for them; name their column, or write "
            "them into the header"
        )
    if is_length:
        return axis.to_value(u.AA).astype(np.float64)
    if not (np.isfinite(axis.value).all() and (axis.value > 0).all()):
        raise SpectrumError(f"{name} must be finite and positive")
    return axis.to_value(u.AA, u.spectral()).astype(np.float64)


def _counts_pixels(values):
    """True for 0, 1, 2 … and 1, 2, 3 …, up or down, three or more of them."""
    if values.ndim != 1 or values.size < 3:
        return False
    first = min(values[0], values[-1])
    if not any(abs(first - start) < 1e-6 for start in (0, 1)):
        return False
    return bool(np.allclose(np.sort(values), round(first) + np.arange(values.size), rtol=1e-9, atol=1e-6))


def linear_flux(values, unit):
    """Flux that is given as a logarithm (magnitudes, dex or dB of a flux density), as that flux density.

    Parameters
    ----------
    values : numpy.ndarray of float64
        The numbers.
    unit : astropy.units.UnitBase, FunctionUnitBase or None
        Their unit. Only one that says what it is the logarithm of, as ``mag(ST)`` and ``dex(Jy)``, is taken
        for a logarithm; `flux_factor` refuses a plain ``mag``.

    Returns
    -------
    values : numpy.ndarray of float64
        As they were, or the flux density.
    unit : astropy.units.UnitBase or None
        Their unit.
    slope : float or None
        d ln F for one unit of the logarithm, without its sign (a magnitude is 0.4 dex); None if it is none.
    """
    if not hasattr(unit, "physical_unit"):
        return values, unit, None
    from astropy import units as u

    with np.errstate(all="ignore"):
        linear = unit.to(unit.physical_unit, values)
    return linear, unit.physical_unit, float(abs(unit.function_unit.to(u.dex)) * np.log(10))


def flux_factor(unit, wave, name="flux"):
    """Factor that turns flux in `unit` into F_λ, and the unit of the result.

    Parameters
    ----------
    unit : astropy.units.UnitBase
        F_λ, F_ν, photon flux density per wavelength or frequency, the same per solid angle,
        luminosity density, or dimensionless (taken for F_λ in a scale of its own).
    wave : numpy.ndarray, shape (npix,)
        Wavelengths in Å as the spectrum states them.
    name : str
        Name of the spectrum, for messages.

    Returns
    -------
    factor : float or numpy.ndarray of shape (npix,)
    target : astropy.units.UnitBase

    Raises
    ------
    SpectrumError
        If `unit` is not a flux density: counts, electrons, energy flux, magnitudes (which `linear_flux`
        brings to a flux density where they say of what).
    """
    from astropy import units as u

    unit = u.Unit("" if unit is None else unit)
    if unit.is_equivalent(u.one) and not hasattr(unit, "physical_unit"):
        return unit.to(u.one), u.one
    if not any(unit.is_equivalent(integrated) for integrated in _INTEGRATED):
        for density in map(u.Unit, _DENSITIES):
            if unit.is_equivalent(density):
                return unit.to(density), density
            equivalency = u.spectral_density(wave * u.AA)
            if unit.is_equivalent(density, equivalency):
                return unit.to(density, np.ones_like(wave), equivalency), density
    raise SpectrumError(
        f"{name} must be a flux density (F_λ or F_ν in any unit, or dimensionless for a relative F_λ), "
        f"got unit {str(unit)!r}; calibrate it first, or drop the unit if only the scale is unknown"
    )


def variance_from(uncertainty, flux_target, wave, order):
    """Variance, in the square of the unit that the flux was converted to.

    Parameters
    ----------
    uncertainty : astropy.nddata.NDUncertainty
        Standard deviation, variance or inverse variance, with a unit of its own or the flux's.
    flux_target : astropy.units.UnitBase
        Unit of the converted flux, from `flux_factor`.
    wave : numpy.ndarray, shape (npix,)
        Wavelengths in Å as the spectrum states them.
    order : callable
        Brings the uncertainty's array to the shape of the flux, pixels last.

    Returns
    -------
    numpy.ndarray of float64
        NaN where the uncertainty is masked, or not finite and positive.

    Raises
    ------
    SpectrumError
        If the kind of uncertainty is unknown, or its unit is not that of the flux.
    """
    values, power = _uncertainty_values(uncertainty, order)
    factor = 1.0
    if uncertainty.unit is not None:
        factor, target = flux_factor(uncertainty.unit**power, wave, "uncertainty")
        if target != flux_target:
            raise SpectrumError(
                f"uncertainty must have the unit of the flux, got {str(uncertainty.unit)!r} "
                f"where the flux is converted to {str(flux_target)!r}"
            )
    with np.errstate(all="ignore"):
        return _positive((values**power * factor) ** 2)


def variance_of_logarithm(uncertainty, unit, flux, slope, order):
    """Variance of the flux whose logarithm has an uncertainty: σ_F = F · slope · σ, to first order.

    Parameters
    ----------
    uncertainty : astropy.nddata.NDUncertainty
        As for `variance_from`, of the logarithm.
    unit : astropy.units.FunctionUnitBase
        Unit of the logarithm; that of the uncertainty, if it has one, must be a logarithm too.
    flux : numpy.ndarray of float64
        The flux density, pixels last.
    slope : float
        From `linear_flux`.
    order : callable
        As for `variance_from`.

    Returns
    -------
    numpy.ndarray of float64
        In the square of the unit of `flux`; NaN where the uncertainty is masked, or not finite and positive.

    Raises
    ------
    SpectrumError
        As of `variance_from`.

    Notes
    -----
    The first order is good to 5 % below 0.1 mag or 0.04 dex.
    """
    values, power = _uncertainty_values(uncertainty, order)
    if uncertainty.unit is not None:  # astropy gives it the unit of its spectrum; squares it refuses
        if power != 1 or not hasattr(uncertainty.unit, "physical_unit"):
            raise SpectrumError(
                f"uncertainty must have the unit of the flux, {str(unit)!r}, got {str(uncertainty.unit)!r}"
            )
        slope = slope * abs(uncertainty.unit.function_unit.to(unit.function_unit))
    with np.errstate(all="ignore"):
        return _positive((flux * slope * values**power) ** 2)


def _uncertainty_values(uncertainty, order):
    """Values of an uncertainty, NaN where they tell nothing, and the power that makes them σ."""
    powers = {"std": 1.0, "var": 0.5, "ivar": -0.5}
    kind = getattr(uncertainty, "uncertainty_type", type(uncertainty).__name__)
    if kind not in powers:
        raise SpectrumError(
            "uncertainty must be a StdDevUncertainty, VarianceUncertainty or InverseVariance, "
            f"got {type(uncertainty).__name__} of type {kind!r}"
        )
    values = order(numbers_given(uncertainty.array, "uncertainty", SpectrumError).visible)
    return _positive(values), powers[kind]


def _positive(values):
    """The values, NaN where they are not finite and positive."""
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def resolving_power(stated, wave, name="resolution"):
    """Resolving power R = λ/FWHM at each pixel.

    Parameters
    ----------
    stated : float, array-like of shape (npix,) or astropy.units.Quantity
        R; or, as a length, the FWHM of the line spread function.
    wave : numpy.ndarray, shape (npix,)
        Wavelengths in Å as the spectrum states them.
    name : str
        Name of the spectrum, for messages.

    Returns
    -------
    numpy.ndarray of float64, shape (npix,)

    Raises
    ------
    SpectrumError
        If it is not one positive, finite number, or one a pixel.
    """
    given = numbers_given(stated, name, SpectrumError)
    values, unit = given.values, given.unit
    if given.n_masked:
        raise SpectrumError(f"{name} must not be masked, got {given.n_masked} masked of {values.size} values")
    if values.ndim > 1 or values.size not in (1, wave.size):
        raise SpectrumError(
            f"{name} must be one number or one for each of the {wave.size} pixels, got shape {values.shape}"
        )
    if not (np.isfinite(values).all() and (values > 0).all()):
        worst = values.min() if np.isfinite(values).all() else values[~np.isfinite(values)].flat[0]
        raise SpectrumError(f"{name} must be positive and finite, got {worst}")
    values = np.broadcast_to(values, wave.shape)
    if unit is None or unit == "":
        return values
    from astropy import units as u

    if unit.is_equivalent(u.one) and not hasattr(unit, "physical_unit"):
        return values * unit.to(u.one)
    if unit.is_equivalent(u.AA):
        return wave / (values * unit.to(u.AA))
    raise SpectrumError(f"{name} must be λ/FWHM, or a FWHM in a unit of length, got unit {str(unit)!r}")
