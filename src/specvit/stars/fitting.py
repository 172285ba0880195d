"""Fit an `Emulator` to a synthetic library."""

from __future__ import annotations

import math

import numpy as np
import torch

from specvit.constants import SPEED_OF_LIGHT
from specvit.grid import PixelGrid
from specvit.labels import LABELS
from specvit.stars.emulator import NATIVE_LSF_FRACTION, Emulator
from specvit.stars.library import SyntheticLibrary, carbon_star
from specvit.stars.smoothing import smooth_library

__all__ = ["fit_emulator", "split_library"]


def split_library(library: SyntheticLibrary, held_out=1 / 9, seed=0):
    """Index arrays of the spectra to fit and to hold out; carbon stars are in neither.

    Parameters
    ----------
    library : SyntheticLibrary
    held_out : float
        Share to hold out.
    seed : int

    Returns
    -------
    fitted, held_out : ndarray of int

    Raises
    ------
    ValueError
        If that is none of them, or all.
    """
    useful = np.flatnonzero(~carbon_star(library.labels))
    if not 1 <= int(useful.size * held_out) < useful.size:
        raise ValueError(
            f"held_out must leave out at least one and not all of the {useful.size} useful spectra, "
            f"got {held_out!r}"
        )
    chosen = np.random.default_rng(seed).choice(useful, int(useful.size * held_out), replace=False)
    return np.setdiff1d(useful, chosen), np.sort(chosen)


def fit_emulator(
    library: SyntheticLibrary,
    grid: PixelGrid,
    *,
    n_components=120,
    n_continuum=6,
    width=192,
    members=4,
    steps=8_000,
    batch_size=512,
    learning_rate=5e-3,
    max_velocity=20.0,
    seed=0,
    device="cpu",
    progress=None,
):
    """Fit an emulator of `library` on `grid`.

    The coefficients of the principal components are regressed on the labels. The loss is the mean
    over stars of the *root* mean square flux error (not its square): a few odd cool stars then do
    not outweigh the rest.

    Parameters
    ----------
    library : SyntheticLibrary
        Spectra to fit; leave out carbon stars (`carbon_star`) and what is held out for validation.
    grid : PixelGrid
        Pixels, vacuum, and LSF. The library must be sharper than 0.85 of the LSF and reach 10 σ + 1 Å
        further than the pixels: what a star at ±20 km/s and the widest LSF need.
    n_components, n_continuum : int
        Principal components of the normalised flux and of ln(continuum).
    width, members : int
        Width and number of the networks for the lines, see `Emulator`.
    steps, batch_size, learning_rate, seed
        Adam with warm-up and a cosine schedule; the result depends on the seed only.
    max_velocity : float
        Velocity of stars, in km/s, that the emulator can shift to: it keeps so much more of the library
        on either side.
    device : str or torch.device
        Where the networks are trained; the emulator comes back on the CPU.
    progress : callable, optional
        Called with (step, loss) every 500 steps.

    Returns
    -------
    Emulator

    Raises
    ------
    ValueError
        If `grid` is in air, or the library does not reach as far as `max_velocity` asks.
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
    sigma = NATIVE_LSF_FRACTION * np.interp(wave, grid.wave, grid.lsf_sigma)
    spectra = smooth_library(library, sigma, wave)
    mean, components, coefficients = _principal_components(spectra, n_components)
    c_mean, c_components, c_coefficients = _principal_components(library.log_continuum, n_continuum)
    label_range = np.stack([library.labels.min(0), library.labels.max(0)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        emulator = Emulator(
            grid,
            wave,
            mean,
            components,
            library.continuum_wave,
            c_mean,
            c_components,
            label_range,
            width,
            members,
        )
        x = emulator.scaled(torch.as_tensor(library.labels, dtype=torch.float32)).to(device)
        jobs = [(network, emulator._scale, coefficients, wave.size) for network in emulator.networks]
        jobs.append((emulator.continuum_network, emulator._continuum_scale, c_coefficients, c_mean.size))
        for network, scale, targets, n_samples in jobs:
            scale.copy_(torch.as_tensor(targets.std(0)))
            y = torch.as_tensor(targets, dtype=torch.float32, device=device)
            _regress(network, scale.to(device), x, y, n_samples, steps, batch_size, learning_rate, progress)
    emulator.record = {
        "labels": LABELS,
        "n_spectra": len(library),
        "n_components": n_components,
        "steps": steps,
        "batch_size": batch_size,
        "seed": seed,
    }
    return emulator.eval().requires_grad_(False)


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
