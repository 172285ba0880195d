"""One star seen in several ways has one log g: oversampled, rebinned, or told a resolution that is wrong."""

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.nddata import StdDevUncertainty
from scipy.interpolate import CubicSpline
from specutils import Spectrum

from specvit import LoggEstimator, Survey
from specvit.grid import FWHM_PER_SIGMA, PFS_MR
from specvit.grid.gaussian import smoothing_matrix
from specvit.stars import Emulator
from specvit.stars.emulator import NATIVE_LSF_FRACTION

STARS, SNR = 500, 50.0  # per native pixel, of which a line has 2.2
FINE = 0.5  # width of the pixels of the oversampled view


def stars(power, rng):
    """Flux (n, m) of stars at the centres of fine pixels, and these; float64, from the emulator's samples."""
    emulator = Emulator.load(calibrated=True)
    labels = Survey("pfs-mr").prior.sample(STARS, rng)
    width = 8000 / power / 2.2 * FINE
    centres = np.arange(PFS_MR.edges[0] + width, PFS_MR.edges[-1] - width, width)
    with torch.no_grad():
        given = torch.as_tensor(labels, dtype=torch.float32)
        lines, continuum = emulator.coefficients(given)
        samples = emulator.mean + lines.double().numpy() @ emulator.components
        level = emulator.log_continuum(continuum).double().numpy()
    held = NATIVE_LSF_FRACTION * np.interp(centres, PFS_MR.wave, PFS_MR.lsf_sigma)
    kernel = np.sqrt((centres / power / FWHM_PER_SIGMA) ** 2 - held**2)
    seen = smoothing_matrix(emulator.wave, kernel, centres, ends="cut") @ samples.T.astype(np.float64)
    level = CubicSpline(PFS_MR.wave, level, axis=1)(centres)
    return seen.T * np.exp(level - level.mean(1, keepdims=True)), centres


def spectra(flux, sigma, centres):
    return [
        Spectrum(one * u.one, centres * u.AA, uncertainty=StdDevUncertainty(np.full(one.shape, err)))
        for one, err in zip(flux, sigma, strict=True)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("power", [1800, 2500, 5500])
def test_log_g_depends_little_on_the_view(power):
    rng = np.random.default_rng(power)
    flux, centres = stars(power, rng)
    sigma = np.median(flux, 1) / SNR / FINE**0.5
    flux = flux + rng.standard_normal(flux.shape) * sigma[:, None]
    pairs = flux.shape[1] // 2
    rebinned = flux[:, : 2 * pairs].reshape(STARS, pairs, 2).mean(2), sigma * FINE**0.5
    rebinned = *rebinned, centres[: 2 * pairs].reshape(pairs, 2).mean(1)
    estimator, stated = LoggEstimator(device="cpu"), {"medium": "vacuum"}
    plain = estimator.predict_table(spectra(*rebinned), resolution=power, **stated)
    views = {
        "oversampled": (spectra(flux, sigma, centres), power),
        "told 10 % more": (spectra(*rebinned), 1.1 * power),
        "told 10 % less": (spectra(*rebinned), 0.9 * power),
    }
    for name, (seen, resolution) in views.items():
        found = estimator.predict_table(seen, resolution=resolution, **stated)
        moved = np.abs(found["logg"].value - plain["logg"].value) / plain["logg_err"].value
        half, most = np.quantile(moved, (0.5, 0.95))
        print(f"R = {power}, {name}: log g moves by {half:.3f} σ in the median, {most:.3f} σ in 95 %")
        assert half < 0.3 and most < 1, name
