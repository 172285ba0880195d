"""Convolution with a Gaussian whose width changes along the spectrum, as one sparse matrix."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from specvit.constants import KERNEL_REACH, SPEED_OF_LIGHT

__all__ = ["smoothing_matrix"]


def smoothing_matrix(wave, sigma, centres, velocity=0.0, *, ends="raise"):
    """Sparse matrix that convolves a finely sampled spectrum with a Gaussian and samples it.

    Row j is a Gaussian of standard deviation ``sigma[j]`` centred on ``centres[j] / (1 + v/c)``,
    evaluated on `wave`, weighted by the widths of its samples and normalised to unit sum, so that a flat
    spectrum stays flat. A positive `velocity` moves lines to the red.

    The spectrum is taken at points. For models with several samples per σ this is fast, and exact to 1e-4.
    Observed spectra have pixels as wide as σ; for them `Resampler` integrates over the pixels.

    Parameters
    ----------
    wave : ndarray, shape (n_in,)
        Wavelengths of the model in Å, uniform in λ or ln λ and increasing.
    sigma : ndarray, shape (n_out,)
        Kernel width in Å, not negative; to bring a spectrum from σ_0 to σ_1 it is sqrt(σ_1² − σ_0²).
        A kernel too narrow to hold a sample gives the value of the next sample. So σ = 0 is right at the
        samples themselves; elsewhere σ should not be much below the sampling of `wave`.
    centres : ndarray, shape (n_out,)
        Where the result is sampled, in Å.
    velocity : float
        Radial velocity in km/s.
    ends : {"raise", "cut"}
        What is done with a kernel that reaches beyond `wave`. "raise" refuses it; "cut" cuts it there and
        normalises the rest, which loses no pixel but is biased where a line lies in the part cut off.

    Returns
    -------
    csr_array, shape (n_out, n_in)

    Raises
    ------
    ValueError
        If a kernel reaches outside `wave` and `ends` is "raise", or a centre itself is outside.

    See Also
    --------
    specvit.grid.Resampler : The integral over pixels, for observed spectra.

    Examples
    --------
    >>> import numpy as np
    >>> wave = np.linspace(8000, 8020, 401)
    >>> line = 1 - 0.5 * np.exp(-0.5 * ((wave - 8010) / 0.3) ** 2)
    >>> smooth = smoothing_matrix(wave, np.array([0.4]), np.array([8010.0])) @ line
    >>> round(float(1 - smooth[0]), 3)  # 0.5 · 0.3 / 0.5
    0.3
    """
    if ends not in ("raise", "cut"):
        raise ValueError(f"ends must be 'raise' or 'cut', got {ends!r}")
    rest = centres / (1 + velocity / SPEED_OF_LIGHT)
    first = np.searchsorted(wave, rest - KERNEL_REACH * sigma)
    last = np.searchsorted(wave, rest + KERNEL_REACH * sigma)
    beyond = rest.min() < wave[0] or rest.max() > wave[-1]
    if beyond or (ends == "raise" and (first.min() == 0 or last.max() == wave.size)):
        reach = f"{KERNEL_REACH} σ beyond" if ends == "raise" else "over"
        raise ValueError(
            f"wave must extend {reach} the sampled range "
            f"({rest[0]:.1f} to {rest[-1]:.1f} Å), it covers {wave[0]:.1f} to {wave[-1]:.1f} Å"
        )
    alone = last <= first
    first = np.minimum(first, wave.size - 1)
    counts = np.where(alone, 1, last - first)
    width = np.where(alone, np.inf, sigma)  # of one sample any weight is normalised to 1
    rows = np.repeat(np.arange(rest.size), counts)
    columns = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[rows]
    weights = np.exp(-0.5 * ((wave[columns] - rest[rows]) / width[rows]) ** 2) * np.gradient(wave)[columns]
    weights /= np.bincount(rows, weights)[rows]
    return csr_array((weights, (rows, columns)), shape=(rest.size, wave.size))
