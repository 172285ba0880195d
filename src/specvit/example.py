"""One simulated star, for examples and first trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from specvit.constants import UNIT_MAGNITUDE
from specvit.survey import Survey

if TYPE_CHECKING:
    from specutils import Spectrum

__all__ = ["example_spectrum"]


def example_spectrum(magnitude: float = 20.5, *, seed: int = 2026) -> Spectrum:
    """A simulated K giant as PFS MR would record it in 3 hours.

    Parameters
    ----------
    magnitude : float
        AB magnitude of its mean f_ν over 7100–8850 Å.
    seed : int
        Seed of the noise.

    Returns
    -------
    `~specutils.Spectrum`
        Flux in 1e-19 erg/s/cm²/Å with its standard deviation on a vacuum wavelength axis;
        ``meta["truth"]`` holds the labels it was made with: Teff 4700 K, log g 2.2, [M/H] −0.4,
        [alpha/M] 0.15, [C/M] −0.05.

    Examples
    --------
    >>> spectrum = example_spectrum()
    >>> spectrum.shape, spectrum.meta["truth"]["logg"]
    ((4096,), 2.2)
    """
    import astropy.units as u
    import numpy as np
    from astropy.nddata import StdDevUncertainty
    from specutils import Spectrum

    truth = {"teff": 4700.0, "logg": 2.2, "mh": -0.4, "alpham": 0.15, "cm": -0.05}
    survey = Survey("paper", seed=seed)
    star = survey.observe(list(truth.values()), magnitude)
    wave = survey.grid.wave
    # The source of UNIT_MAGNITUDE at the middle of the grid: f_ν = 3631 Jy 10^(−0.4 m), as F_λ.
    middle = 0.5 * (wave[0] + wave[-1]) * u.AA
    unit = (3631 * u.Jy * 10 ** (-0.4 * UNIT_MAGNITUDE)).to(
        u.erg / u.s / u.cm**2 / u.AA, u.spectral_density(middle)
    )
    flux = star.flux[0].double().numpy() * unit.to(1e-19 * u.erg / u.s / u.cm**2 / u.AA)
    sigma = star.ivar[0].double().numpy() ** -0.5 * (unit.to_value(1e-19 * u.erg / u.s / u.cm**2 / u.AA))
    return Spectrum(
        flux=flux,
        spectral_axis=wave * u.AA,
        uncertainty=StdDevUncertainty(sigma * flux.unit),
        mask=np.zeros(wave.size, bool),
        meta={
            "object": "simulated K giant",
            "magnitude": magnitude,
            "truth": truth,
            "medium": survey.grid.medium,
            "resolution": survey.grid.resolving_power,
        },
    )
