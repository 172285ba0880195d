"""Random instruments and observations, on which a network for any spectrograph is trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from specvit.constants import FWHM_PER_SIGMA
from specvit.grid.instruments import INSTRUMENTS, Instrument
from specvit.survey.windows import draw_windows

__all__ = ["AnyInstrument"]

#: Smallest native pixels that are simulated, in pixels of the grid; there are 4.4 of them per FWHM. The noise
#: of finer ones, averaged within a pixel of the grid, differs in its size only, which is drawn anyway.
_FINEST = 2**-0.5


@dataclass(frozen=True)
class AnyInstrument:
    """How instruments are distributed, and how large imperfections are: choices, except `line_err`.

    A spectrum comes from one of four kinds of instrument: one of `presets`; one of the grid's own
    resolution; a sharper one, smoothed to the grid's line spread function as the adapter does it; or, for
    what is left, one of a resolving power drawn from `resolving_power`.

    Parameters
    ----------
    presets : tuple of Instrument
        Instruments with a name; by default those of `specvit.grid.INSTRUMENTS`.
    preset_share, own_share, sharper_share : float
        Shares of the kinds.
    resolving_power : (float, float)
        R at the middle of the grid, log-uniform. Where it is the grid's own or above, the spectrum is sharp.
    lsf_spread, own_spread : float
        Relative half-widths of the uniform scatter of the true FWHM about the one drawn, and the grid's own.
    lsf_err, sampling_err : float
        Rms of ln(σ) and of log2(native pixel), those that the network is told over the true ones.
    oversampled_share : float
        Share of spectra told to have finer pixels than their noise has, by up to a factor 2.5: resampled.
    pixels_per_fwhm : (float, float)
        Native pixels per FWHM, uniform; up to twice as many in the share `fine_share`.
    fine_share, logarithmic_share, constant_fwhm_share : float
        Shares of spectra with finer pixels, with pixels equal in ln λ instead of λ, and with the same FWHM
        instead of the same R at all wavelengths.
    snr : (float, float)
        Signal-to-noise ratio per native pixel, median over what is seen, log-uniform.
    whole_share : float
        Share of spectra, presets aside, that are seen over the whole grid.
    windows : tuple of (float, float)
        Windows in Å of all spectra, instead of random ones.
    shortest : float
        Shortest single window at random, in Å; arms together have at least as much.
    least : float
        Share of the grid that cuts and lost pixels leave; where cuts would leave less there are none.
    usual_windows, usual_share : tuple of (float, float), float
        Windows (Å) of common spectrographs, to ±10 Å, and the share of the spectra with windows that have
        one.
    telluric : (float, float)
        Probability that all telluric bands are cut, and, if not, that a single one is; to 20 Å rms.
    telluric_residual : float
        Rms residual absorption within telluric bands that are not cut, in a third of the spectra.
    chunks : float
        Largest width in Å of up to three chunks cut anywhere, each in half of the spectra.
    bad_pixels : (float, float)
        Native pixels lost one by one: up to the first fraction in most spectra, up to the second in a tenth.
    max_velocity : float
        Radial velocity after the rest-frame correction, uniform in ± so many km/s.
    zero_point : float
        Error of the wavelengths, uniform in ± so many FWHM of the excess of the line spread function over the
        grid's: poor resolution comes with poor wavelength scales.
    drift : (float, float)
        Rms of its linear and quadratic change over the grid, in the same unit.
    rotation : (float, float)
        Share of stars that rotate visibly, and the scale in km/s of their half-normal v sin i.
    macroturbulence : float
        km/s; σ of a Gaussian, uniform from 0.
    line_err : tuple of (float, float)
        Errors of the library on several scales, Gaussian and linear between knots: (distance of knots in Å,
        rms error of ln(optical depth)); see the notes.
    calibration, normalisation_err : tuple of float, float
        Rms coefficients of the Chebyshev polynomials T1, T2, … of ln(flux calibration), and of ln(continuum)
        in spectra divided by it.
    poor_calibration : (float, float)
        Share of spectra whose calibration is worse, and by which factor.
    reddening : float
        Scale in mag of a half-normal E(B−V), in half of the spectra.
    normalised_share, pseudo_share : float
        Share of spectra divided by their continuum, and of those the share that are divided by a running mean
        of themselves instead of the true continuum.
    noise_shape, reported_err : float
        Rms of ln σ varying slowly over the spectrum (12 knots), and of ln(reported σ over the true one).
    sky_share, sky_residual : float
        Share of spectra with the pattern of the night sky in their noise, and the rms error of its
        subtraction at sky lines, in units of the noise there.
    correlated_share : float
        Share of spectra with noise correlated between neighbouring native pixels, by up to half the weight.
    pattern : tuple of (float, float)
        What flat field, fringes and sky leave in the flux on several scales, in the form of `line_err`, with
        rms errors relative to the whole.
    pattern_size : (float, float)
        Share of spectra with such a pattern, and the scale of its half-normal rms in ln(flux).

    See Also
    --------
    InstrumentSurvey : Takes it as ``observed=``.

    Notes
    -----
    What is left of the differences between giants with known labels and the library calibrated on the Sun is
    0.150, 0.064, 0.123 and 0.04 on the four scales of `line_err` (``scripts/calibrate_library.py``). The
    third, and to a lesser degree the first, also holds errors of the stars' flux calibration.

    A `pattern` is what spectra of one instrument share whatever the star, and no error tells: seven stars of
    an early LAMOST plate have one of 1.7 % rms, correlated over 4–10 Å, and those of STELIB differ from the
    library by 0.8–1 % at S/N 150–360. The share is 0: trained with 0.4, the network was worse on simulated
    spectra of S/N 100 and no better on real stars (docs, *Studies*).

    Examples
    --------
    >>> from specvit.grid import PFS_MR
    >>> numbers = AnyInstrument(snr=(50, 200)).draw(1000, np.random.default_rng(0), PFS_MR)
    >>> bool(numbers["snr"].min() >= 50)
    True
    """

    presets: tuple[Instrument, ...] = tuple(INSTRUMENTS.values())
    preset_share: float = 0.25
    own_share: float = 0.25
    sharper_share: float = 0.10
    resolving_power: tuple[float, float] = (1300.0, 6000.0)
    lsf_spread: float = 0.10
    own_spread: float = 0.10
    lsf_err: float = 0.10
    sampling_err: float = 0.10
    oversampled_share: float = 0.10
    pixels_per_fwhm: tuple[float, float] = (1.7, 4.2)
    fine_share: float = 0.15
    logarithmic_share: float = 0.4
    constant_fwhm_share: float = 0.4
    snr: tuple[float, float] = (1.5, 500.0)
    whole_share: float = 0.45
    windows: tuple[tuple[float, float], ...] = ()
    shortest: float = 110.0
    least: float = 0.05
    usual_windows: tuple[tuple[float, float], ...] = ((8400.0, 8850.0), (8460.0, 8700.0), (7100.0, 8100.0))
    usual_share: float = 0.25
    telluric: tuple[float, float] = (0.35, 0.2)
    telluric_residual: float = 0.04
    chunks: float = 85.0
    bad_pixels: tuple[float, float] = (0.03, 0.5)
    max_velocity: float = 20.0
    zero_point: float = 0.45
    drift: tuple[float, float] = (0.18, 0.15)
    rotation: tuple[float, float] = (0.3, 12.0)
    macroturbulence: float = 5.0
    line_err: tuple[tuple[float, float], ...] = ((1.7, 0.13), (14.0, 0.065), (110.0, 0.09), (1750.0, 0.05))
    calibration: tuple[float, ...] = (0.12, 0.05, 0.03, 0.02, 0.02)
    poor_calibration: tuple[float, float] = (0.5, 2.5)
    reddening: float = 0.25
    normalised_share: float = 0.35
    pseudo_share: float = 0.4
    normalisation_err: float = 0.02
    noise_shape: float = 0.3
    sky_share: float = 0.4
    sky_residual: float = 0.3
    correlated_share: float = 0.35
    reported_err: float = 0.10
    pattern: tuple[tuple[float, float], ...] = ((4.0, 0.7), (12.0, 0.6), (40.0, 0.4))
    pattern_size: tuple[float, float] = (0.0, 0.012)

    def __post_init__(self):
        for name in ("resolving_power", "snr", "pixels_per_fwhm"):
            low, high = getattr(self, name)
            if not 0 < low <= high < np.inf:
                raise ValueError(f"{name} must be two positive limits, the lower first, got {(low, high)!r}")
        shares = self.preset_share + self.own_share + self.sharper_share
        if not 0 <= shares <= 1 + 1e-9 or min(self.preset_share, self.own_share, self.sharper_share) < 0:
            raise ValueError(f"preset_share + own_share + sharper_share must lie in [0, 1], got {shares!r}")
        if self.preset_share and not self.presets:
            raise ValueError(f"presets must not be empty for a preset_share of {self.preset_share!r}")

    def draw(self, n, rng, grid):
        """Random numbers of `n` observations.

        Parameters
        ----------
        n : int
            Number of observations.
        rng : numpy.random.Generator
            Source of the numbers.
        grid : PixelGrid
            Grid that spectra come to, in vacuum.

        Returns
        -------
        dict of str to ndarray
            Per star, first axis n: see `InstrumentObservation`, which uses them.
        """
        numbers = self._instruments(n, rng, grid)
        numbers |= draw_windows(self, n, rng, grid, numbers)
        poor = np.where(rng.random((n, 1)) < self.poor_calibration[0], self.poor_calibration[1], 1.0)
        normalised = rng.random(n) < self.normalised_share
        terms = len(self.calibration)
        calibration = rng.standard_normal((n, terms)) * poor * np.asarray(self.calibration)
        left = rng.standard_normal((n, terms)) * self.normalisation_err
        excess = numbers["excess"] * FWHM_PER_SIGMA  # Å
        shift = np.stack([2 * rng.random(n) - 1, *rng.standard_normal((2, n))], 1)
        rotating = rng.random(n) < self.rotation[0]
        numbers |= {
            "snr": _log_uniform(self.snr, n, rng),
            "velocity": (2 * rng.random(n) - 1) * self.max_velocity,
            "wavelength_err": shift * [self.zero_point, *self.drift] * excess[:, None],
            "rotation": np.abs(rng.standard_normal(n)) * self.rotation[1] * rotating,
            "macroturbulence": rng.random(n) * self.macroturbulence,
            "normalised": normalised,
            "pseudo": np.flatnonzero(normalised & (rng.random(n) < self.pseudo_share)),
            "pseudo_width": _log_uniform((0.015, 0.15), n, rng),  # of the grid
            "calibration": np.where(normalised[:, None], left, calibration),
            "reddening": np.abs(rng.standard_normal(n)) * self.reddening * (rng.random(n) < 0.5),
            "noise_shape": rng.standard_normal((n, 12)) * self.noise_shape,
            "sky": rng.random(n) * (rng.random(n) < self.sky_share),
            "sky_residual": rng.standard_normal((n, 16)) * self.sky_residual,
            "wing": 0.5 * rng.random(n) * (rng.random(n) < self.correlated_share),
            "reported": np.exp(rng.standard_normal(n) * self.reported_err),
            "telluric": self.telluric_residual * (rng.random(n) < 1 / 3),
            "line_key": rng.integers(2**63, size=n),
            "telluric_key": rng.integers(2**63, size=n),
        }
        patterned = rng.random(n) < self.pattern_size[0]
        numbers |= {
            "pattern": np.abs(rng.standard_normal(n)) * self.pattern_size[1] * patterned,
            "pattern_key": rng.integers(2**63, size=n),
        }
        return numbers

    def _instruments(self, n, rng, grid):
        """Line spread functions and native pixels."""
        at = grid.wave[[0, len(grid) // 2, -1]]  # where they are told, linear in between
        middle, pixel = at[1], grid.width[len(grid) // 2]
        own = grid.lsf_sigma[[0, len(grid) // 2, -1]]
        u = rng.random(n)
        kind = np.searchsorted(np.cumsum([self.preset_share, self.own_share, self.sharper_share]), u, "right")
        preset = np.where(kind == 0, rng.integers(max(1, len(self.presets)), size=n), -1)
        sigma = at / _log_uniform(self.resolving_power, n, rng)[:, None] / FWHM_PER_SIGMA
        flat = rng.random((n, 1)) < self.constant_fwhm_share
        sigma = np.where(flat, sigma[:, 1:2], sigma)
        spread = 1 + self.lsf_spread * (2 * rng.random(n) - 1)
        sigma = sigma * spread[:, None]
        own_spread = 1 + self.own_spread * (2 * rng.random(n) - 1)
        sigma = np.where((kind == 1)[:, None], own * own_spread[:, None], sigma)
        # Sharper ones up to R of ten times the grid's; on the grid they are as sharp as it is.
        sharpness = _log_uniform((1.2, 10.0), n, rng)
        per_fwhm = rng.uniform(*self.pixels_per_fwhm, n) * (
            1 + rng.random(n) * (rng.random(n) < self.fine_share)
        )
        stated = np.where((kind == 2)[:, None], own / sharpness[:, None], sigma)
        width = FWHM_PER_SIGMA * stated[:, 1] / per_fwhm
        logarithmic = rng.random(n) < self.logarithmic_share
        for k, one in enumerate(self.presets):
            of = preset == k
            stated[of] = one.lsf_sigma(at) * spread[of, None]
            width[of] = one.pixel_width(middle)
            logarithmic[of] = one.pixel_unit == "km/s"
        # What is sharper by more than 10 % is smoothed; what has the grid's own pixels needs no rebinning.
        sharp = stated[:, 1] < 0.9 * own[1]
        identity = sharp | (np.isclose(width, pixel) & (preset >= 0))
        identity |= (kind == 1) & (rng.random(n) < 0.5)
        width = np.where(identity & ~sharp, pixel, width)
        told_width = width * 2 ** (self.sampling_err * rng.standard_normal(n))
        told_width /= np.where(rng.random(n) < self.oversampled_share, 2.5 ** rng.random(n), 1)
        told = np.exp(self.lsf_err * rng.standard_normal(n))
        on_grid = np.where(sharp[:, None], own * own_spread[:, None], stated)
        lsf_scale = np.clip(on_grid[:, 1] / own[1], 0.9, 1.0)
        excess = np.sqrt(np.maximum(on_grid**2 - (lsf_scale[:, None] * own) ** 2, 0))
        kernel = np.sqrt(np.maximum(own[1] ** 2 - stated[:, 1] ** 2 - pixel**2 / 12, 0))
        logarithmic &= ~identity
        fine = np.where(sharp, pixel, np.maximum(width, _FINEST * pixel))
        return {
            "preset": preset,
            "lsf_scale": lsf_scale,
            "excess_nodes": excess,
            "excess": excess[:, 1],
            "sigma_nodes": on_grid,
            "told_sigma_nodes": stated * told[:, None],
            "width": fine,
            "told_width": told_width,
            "phase": rng.random(n) * ~identity,
            "logarithmic": logarithmic,
            # Noise of sharp spectra: smoothed by this many pixels, and so much smaller than in native ones.
            "sharp": np.flatnonzero(sharp),
            "noise_kernel": kernel / pixel,
            "noise_gain": np.where(
                sharp, np.sqrt(width / pixel / (2 * np.sqrt(np.pi * (kernel**2 / pixel**2 + 1 / 12)))), 1.0
            ).clip(max=1.0),
        }


def _log_uniform(limits, n, rng):
    low, high = limits
    return low * (high / low) ** rng.random(n)
