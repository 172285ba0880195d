"""Numbers of physics and statistics that several rooms need, each stated once."""

from __future__ import annotations

import math
from statistics import NormalDist

__all__ = [
    "CARBON_LIMIT",
    "FWHM_PER_SIGMA",
    "KERNEL_REACH",
    "ONE_SIGMA",
    "SIGMA_PER_MAD",
    "SPEED_OF_LIGHT",
    "UNIT_MAGNITUDE",
]

#: Speed of light in km/s (exact, SI).
SPEED_OF_LIGHT = 299_792.458
#: Full width at half maximum of a Gaussian of unit standard deviation, 2 sqrt(2 ln 2).
FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))
#: Probability content of ±1σ of a Gaussian.
ONE_SIGMA = math.erf(math.sqrt(0.5))
#: Standard deviation of a Gaussian of unit median absolute deviation, 1 / Φ⁻¹(3/4).
SIGMA_PER_MAD = 1 / NormalDist().inv_cdf(0.75)
#: Half-width, in σ, at which the Gaussian kernels of model spectra are cut: the wings left out hold 4e-8.
KERNEL_REACH = 5.5
#: [C/M] − [alpha/M] above which a cool star is a carbon star (C/O above about 0.8): no emulator follows it.
CARBON_LIMIT = 0.16
#: AB magnitude of the source whose flux is the unit of the fluxes of a survey.
UNIT_MAGNITUDE = 22.5
