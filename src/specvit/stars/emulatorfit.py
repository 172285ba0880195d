"""How an `Emulator` is fitted to a library: which spectra, components that span them, networks of the labels.

`Emulator.fit` puts the three together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from specvit.constants import SPEED_OF_LIGHT
from specvit.stars.library import SyntheticLibrary, carbon_star

__all__ = ["SpectralBasis", "spectral_basis", "split_library", "train_networks"]


def split_library(library: SyntheticLibrary, held_out=1 / 9, seed=0):
    """Index arrays of the spectra to fit and to hold out; carbon stars are in neither.

    Parameters
    ----------
    library : SyntheticLibrary
        The library to be split.
    held_out : float
        Share to hold out.
    seed : int
        Seed of the choice.

    Returns
    -------
    fitted, held_out : ndarray of int

    Raises
    ------
    ValueError
        If that is none of them, or all.

    Examples
    --------
    >>> from specvit.stars import SyntheticLibrary
    >>> rng = np.random.default_rng(0)
    >>> wave, knots = np.geomspace(7990, 8110, 3000), np.linspace(7990, 8110, 8)
    >>> labels = rng.uniform([4000, 1, -1, 0, 0], [6000, 5, 0, 0.3, 0.2], (40, 5))
    >>> lines = 1 - 0.3 * rng.random((40, 1)) * np.exp(-((wave - 8050) ** 2) / 2)
    >>> library = SyntheticLibrary(labels, wave, lines, np.zeros((40, 8)), knots, 20_000.0)
    >>> fitted, held_out = split_library(library, held_out=0.25)
    >>> len(fitted), len(held_out)
    (30, 9)
    """
    useful = np.flatnonzero(~carbon_star(library.labels))
    if not 1 <= int(useful.size * held_out) < useful.size:
        raise ValueError(
            f"held_out must leave out at least one and not all of the {useful.size} useful spectra, "
            f"got {held_out!r}"
        )
    chosen = np.random.default_rng(seed).choice(useful, int(useful.size * held_out), replace=False)
    return np.setdiff1d(useful, chosen), np.sort(chosen)


@dataclass(frozen=True)
class SpectralBasis:
    """Principal components of a library's spectra, and the coefficients that make its spectra of them.

    Attributes
    ----------
    wave : ndarray, shape (n_wave,)
        Vacuum wavelengths (Å) of the normalised flux: the library's own, as far as the pixels need them.
    mean, components, coefficients : ndarray, shapes (n_wave,), (k, n_wave) and (n, k)
        Mean, orthonormal components and coefficients of the smoothed normalised flux.
    continuum_wave : ndarray, shape (n_knots,)
        Wavelengths (Å) of the continuum.
    continuum_mean, continuum_components, continuum_coefficients : ndarray
        The same of ln(continuum), shapes (n_knots,), (m, n_knots) and (n, m).

    Examples
    --------
    >>> from specvit import PixelGrid
    >>> from specvit.stars import SyntheticLibrary
    >>> rng = np.random.default_rng(0)
    >>> wave, knots = np.geomspace(7990, 8110, 3000), np.linspace(7990, 8110, 8)
    >>> labels = rng.uniform([4000, 1, -1, 0, 0], [6000, 5, 0, 0.3, 0.2], (40, 5))
    >>> lines = 1 - 0.3 * rng.random((40, 1)) * np.exp(-((wave - 8050) ** 2) / 2)
    >>> library = SyntheticLibrary(labels, wave, lines, np.zeros((40, 8)), knots, 20_000.0)
    >>> grid = PixelGrid.linear(8010, 8090, 100, 1.5)
    >>> basis = spectral_basis(library, grid, 0.5, n_components=2, n_continuum=1)
    >>> basis.coefficients.shape
    (40, 2)
    """

    wave: np.ndarray
    mean: np.ndarray
    components: np.ndarray
    coefficients: np.ndarray
    continuum_wave: np.ndarray
    continuum_mean: np.ndarray
    continuum_components: np.ndarray
    continuum_coefficients: np.ndarray


def spectral_basis(library, grid, lsf_fraction, *, n_components=120, n_continuum=6, max_velocity=20.0):
    """Principal components of `library` for an emulator on `grid`.

    Parameters
    ----------
    library : SyntheticLibrary
        Spectra to span.
    grid : PixelGrid
        Pixels, vacuum, and LSF.
    lsf_fraction : float
        Width of the LSF that the components are smoothed to, relative to the grid's.
    n_components, n_continuum : int
        Components of the normalised flux and of ln(continuum).
    max_velocity : float
        Velocity of stars, in km/s, that the emulator can shift to: it keeps so much more of the library
        on either side.

    Returns
    -------
    SpectralBasis

    Raises
    ------
    ValueError
        If `grid` is in air, the library is not sharper than the smoothed LSF, or it does not reach as far as
        `max_velocity` asks.

    Examples
    --------
    >>> from specvit import PixelGrid
    >>> from specvit.stars import SyntheticLibrary
    >>> rng = np.random.default_rng(0)
    >>> wave, knots = np.geomspace(7990, 8110, 3000), np.linspace(7990, 8110, 8)
    >>> labels = rng.uniform([4000, 1, -1, 0, 0], [6000, 5, 0, 0.3, 0.2], (40, 5))
    >>> lines = 1 - 0.3 * rng.random((40, 1)) * np.exp(-((wave - 8050) ** 2) / 2)
    >>> library = SyntheticLibrary(labels, wave, lines, np.zeros((40, 8)), knots, 20_000.0)
    >>> grid = PixelGrid.linear(8010, 8090, 100, 1.5)
    >>> spectral_basis(library, grid, 0.5, n_components=2, n_continuum=1).components.shape[0]
    2
    """
    if grid.medium != "vacuum":
        raise ValueError(f"grid must be in vacuum, as libraries are, got medium {grid.medium!r}")
    margin = 5 * grid.lsf_sigma.max() + 1.0
    if max_velocity > 20.0:
        margin += grid.edges[-1] * (max_velocity - 20.0) / SPEED_OF_LIGHT
        if library.wave[0] > grid.edges[0] - margin or library.wave[-1] < grid.edges[-1] + margin:
            raise ValueError(
                f"max_velocity={max_velocity!r} km/s needs a library that reaches {margin:.1f} Å beyond the "
                f"pixels, this one covers {library.wave[0]:.1f} to {library.wave[-1]:.1f} Å"
            )
    wave = library.wave[(library.wave > grid.edges[0] - margin) & (library.wave < grid.edges[-1] + margin)]
    spectra = library.smoothed(lsf_fraction * np.interp(wave, grid.wave, grid.lsf_sigma), wave)
    return SpectralBasis(
        wave,
        *_principal_components(spectra, n_components),
        library.continuum_wave,
        *_principal_components(library.log_continuum, n_continuum),
    )


def train_networks(
    line_networks,
    continuum_network,
    basis,
    x,
    *,
    steps=8_000,
    batch_size=512,
    learning_rate=5e-3,
    progress=None,
):
    """Regress coefficients of components on labels, by torch's global generator.

    The loss is the mean over stars of the *root* mean square flux error (not its square): a few odd cool
    stars then do not outweigh the rest. Adam with warm-up and a cosine schedule.

    Parameters
    ----------
    line_networks : iterable of Module
        Each is to give the coefficients of the normalised flux, in units of their standard deviations.
        They stay on the CPU.
    continuum_network : Module
        To give those of ln(continuum), in the same units.
    basis : SpectralBasis
        The emulator's components, with the coefficients that the networks are to give.
    x : tensor, shape (n, 5)
        Input of the networks, see `Emulator.scaled`; on the device on which they are trained.
    steps, batch_size, learning_rate
        Settings of Adam for each network.
    progress : callable, optional
        Called with (step, loss) every 500 steps of each network.

    Examples
    --------
    >>> from specvit import PixelGrid
    >>> from specvit.stars import SyntheticLibrary
    >>> from specvit.stars.labelnetworks import LabelNetworks
    >>> rng = np.random.default_rng(0)
    >>> wave, knots = np.geomspace(7990, 8110, 3000), np.linspace(7990, 8110, 8)
    >>> labels = rng.uniform([4000, 1, -1, 0, 0], [6000, 5, 0, 0.3, 0.2], (40, 5))
    >>> lines = 1 - 0.3 * rng.random((40, 1)) * np.exp(-((wave - 8050) ** 2) / 2)
    >>> library = SyntheticLibrary(labels, wave, lines, np.zeros((40, 8)), knots, 20_000.0)
    >>> grid = PixelGrid.linear(8010, 8090, 100, 1.5)
    >>> basis = spectral_basis(library, grid, 0.5, n_components=2, n_continuum=1)
    >>> networks = LabelNetworks(2, 1, [labels.min(0), labels.max(0)], width=8, members=1)
    >>> networks.set_scales(basis.coefficients.std(0), basis.continuum_coefficients.std(0) + 1)
    >>> x, told = networks.scaled(torch.as_tensor(labels)).float(), []
    >>> lines, continuum = networks.networks, networks.continuum_network
    >>> train_networks(lines, continuum, basis, x, steps=500, progress=lambda step, loss: told.append(step))
    >>> told
    [500, 500]
    """
    lines = (basis.coefficients, basis.wave.size)
    continuum = (basis.continuum_coefficients, basis.continuum_wave.size)
    for network, coefficients, n_samples in [
        *((network, *lines) for network in line_networks),
        (continuum_network, *continuum),
    ]:
        scale = torch.as_tensor(coefficients.std(0), dtype=torch.float32, device=x.device)
        y = torch.as_tensor(coefficients, dtype=torch.float32, device=x.device)
        _regress(network, scale, x, y, n_samples, steps, batch_size, learning_rate, progress)


def _principal_components(x, k):
    """Mean (n_x,), orthonormal components (k, n_x) and coefficients (n, k) of rows of `x`."""
    mean = x.mean(0, dtype=np.float64)
    u, s, vt = np.linalg.svd(x - mean, full_matrices=False)
    return mean, vt[:k], u[:, :k] * s[:k]


def _regress(network, scale, x, y, n_samples, steps, batch_size, learning_rate, progress):
    """Train ``network(x) * scale`` to give the coefficients `y` of spectra of `n_samples` points."""
    network.to(x.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min(1.0, (i + 1) / 200) * 0.5 * (1 + math.cos(math.pi * min(i / steps, 1.0)))
    )
    for step in range(steps):
        rows = torch.randint(len(x), (min(batch_size, len(x)),)).to(x.device)
        # The components are orthonormal: the squared error of a spectrum is that of its coefficients.
        square = (network(x[rows]) * scale - y[rows]).square().sum(1) / n_samples
        loss = (square + 1e-10).sqrt().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if progress is not None and (step + 1) % 500 == 0:
            progress(step + 1, loss.item())
    network.cpu()
