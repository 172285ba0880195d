"""Further kinds of trouble, found by trying: neighbours of those in `specvit.assess.troubles`."""

from __future__ import annotations

import numpy as np

from specvit.assess.troubles import Trouble, companion, given_plainly, masked, position, scaled_by, zeros
from specvit.constants import SPEED_OF_LIGHT

__all__ = ["MORE_TROUBLES"]

_TRIPLET = np.array([8500.35, 8544.44, 8664.52])  # Å, vacuum
#: Heads in Å of bands that fade to the red, as CN has them.
_CN = np.array([7088.0, 7259, 7437, 7656, 7876, 7970, 8067, 8270, 8490, 8730])
#: Diffuse interstellar bands in Å, and an equivalent width of each.
_INTERSTELLAR, _ABSORBED = 8623.0, 0.3
_ORDERS = 18
_SUN = (5777.0, 4.44, 0.0, 0.0, 0.0)


def _order(scene):
    """Number of the order that each pixel belongs to, (n_pixels,)."""
    return _ORDERS * np.arange(scene.wave.size) // scene.wave.size


def _jittered(scene):
    """Orders whose wavelengths are off by 30 km/s rms, each by itself."""
    off = np.random.default_rng(3).normal(0, 30, _ORDERS)[_order(scene)]
    return scene.light(centres=scene.wave * (1 + off / SPEED_OF_LIGHT))


def _spliced(wavelength):
    """The star's light up to a wavelength, that of one unlike beyond."""
    return lambda scene: np.where(scene.wave < wavelength, scene.light(), companion(scene).light())


def _pair(velocity, share, twin=False):
    """Two stars, the fainter with the rest of the light, `velocity` km/s apart."""

    def light(scene):
        second = scene if twin else companion(scene)
        first, other = scene.light(velocity=-velocity * (1 - share)), second.light(velocity=velocity * share)
        return share * first + (1 - share) * other

    return light


def _moonlit(share):
    """Light of the Sun, off the Moon, at −10 km/s, added."""
    return lambda scene: scene.light() + share * scene.other(_SUN).light(velocity=-10)


def _active(width):
    """Emission of `width` Å in each line of the triplet."""

    def light(scene):
        sigma = np.interp(_TRIPLET, scene.wave, scene.grid.lsf_sigma)[:, None]
        shape = np.exp(-0.5 * ((scene.wave - _TRIPLET[:, None]) / sigma) ** 2)
        shape /= np.sqrt(2 * np.pi) * sigma
        return (scene.lines() + width * shape.sum(0)) * scene.continuum

    return light


def _banded(scene):
    beyond = scene.wave - _CN[:, None]
    shape = np.where(beyond > 0, np.exp(-np.maximum(beyond, 0) / 60), np.exp(np.minimum(beyond, 0) / 3))
    return np.exp(-0.3 * shape.sum(0))


def _interstellar(scene):
    shape = np.exp(-0.5 * ((scene.wave - _INTERSTELLAR) / 2) ** 2) / (np.sqrt(2 * np.pi) * 2)
    return 1 - _ABSORBED * shape


def _smoothed(n):
    """Mean over `n` pixels, with the errors of before."""

    def record(flux, sigma, rng, scene):
        from scipy.ndimage import uniform_filter1d

        return given_plainly(uniform_filter1d(flux, n, axis=1, mode="nearest"), sigma)

    return record


def _repeated(flux, sigma, rng, scene):
    return given_plainly(np.repeat(flux[:, ::2], 2, axis=1)[:, : flux.shape[1]], sigma)


def _function(function, slope):
    """A function of the flux, errors scaled by its slope at the typical flux of 1."""
    return lambda flux, sigma, rng, scene: given_plainly(function(np.maximum(flux, 0.01)), slope * sigma)


def _scattered(flux, sigma, rng, scene):
    return given_plainly(flux, sigma * np.exp(rng.uniform(-1.1, 1.1, sigma.shape)))


def _constant(flux, sigma, rng, scene):
    return given_plainly(flux, np.full_like(sigma, np.median(sigma)))


def _reversed(flux, sigma, rng, scene):
    return given_plainly(flux[:, ::-1], sigma[::-1])


def _more():
    yield Trouble("all wavelengths + 5 Å", lambda s: s.light(centres=s.wave - 5))
    yield Trouble("wavelengths stretched by ± 1 Å", lambda s: s.light(centres=s.wave + position(s)))
    yield Trouble("orders off by 30 km/s", _jittered)
    yield Trouble("flux from red to blue", record=_reversed)
    yield Trouble("another star from 8000 Å on", _spliced(8000))
    yield Trouble("a third is moonlight", _moonlit(0.5))
    yield Trouble("giant + dwarf, 7:3, 100 km/s apart", _pair(100, 0.7))
    yield Trouble("twins, 7:3, 150 km/s apart", _pair(150, 0.7, twin=True))
    yield Trouble("triplet in emission, 1 Å", _active(1.0))
    yield Trouble("bands of a carbon star", record=scaled_by(_banded))
    yield Trouble(
        "fringes of 5 %, 20 Å", record=scaled_by(lambda s: 1 + 0.05 * np.sin(2 * np.pi * s.wave / 20))
    )
    yield Trouble("flux to the power of 1.5", record=_function(lambda f: f**1.5, 1.5))
    yield Trouble("saturating flux", record=_function(lambda f: f / (1 + 0.3 * f), 0.59))
    for n in (5, 15):
        yield Trouble(f"smoothed over {n} pixels, σ as before", record=_smoothed(n))
    yield Trouble("every second pixel repeated", record=_repeated)
    yield Trouble("30 % of pixels 0", record=zeros(lambda shape, rng, wave: rng.random(shape) < 0.3))
    yield Trouble("zero level 10 % too low", record=lambda f, s, rng, scene: given_plainly(f - 0.1, s))

    yield Trouble("σ the same everywhere", record=_constant, harmless=True)
    yield Trouble("σ off by factors of 3, pixel by pixel", record=_scattered, harmless=True)
    yield Trouble("an interstellar band", record=scaled_by(_interstellar), harmless=True)
    yield Trouble(
        "steps of 2 % between orders", record=scaled_by(lambda s: 1 + 0.02 * (_order(s) % 2)), harmless=True
    )
    # log g stays right, but no star looks so: it is told, and rightly.
    yield Trouble("red half × 1.3", record=scaled_by(lambda s: np.where(s.wave > 8000, 1.3, 1.0)))
    every = masked(lambda wave: np.arange(wave.size) // 300 % 4 == 1)
    yield Trouble("a quarter masked in blocks", record=every, harmless=True)


#: Every kind.
MORE_TROUBLES = tuple(_more())
