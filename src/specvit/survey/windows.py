"""What part of the range a random instrument sees, and what of it is cut out or lost."""

from __future__ import annotations

import numpy as np

from specvit.grid import TELLURIC, unseen_ends

__all__ = ["draw_windows"]

_N_WINDOWS, _N_CHUNKS = 3, 3


def draw_windows(sizes, n, rng, grid, numbers):
    """Windows within which spectra are seen, cuts out of them, and the share of single pixels that is lost.

    Parameters
    ----------
    sizes : AnyInstrument
        How they are distributed.
    n : int
        Number of observations.
    rng : numpy.random.Generator
        Source of the numbers.
    grid : PixelGrid
        Grid that spectra come to, in vacuum.
    numbers : dict of str to ndarray
        What was drawn of the instruments: ``preset``, ``excess`` and ``width``.

    Returns
    -------
    dict of str to ndarray
        ``seen`` (n, 3, 2) and ``cut`` (n, 6, 2) in Å, ``bad_fraction`` (n,).
    """
    low, high = grid.edges[0], grid.edges[-1]
    span = high - low
    count = rng.choice(_N_WINDOWS, size=n, p=(0.6, 0.25, 0.15)) + 1
    length = (sizes.shortest + max(0.0, span - sizes.shortest) * rng.random(n) ** 1.5).clip(max=span)
    # Arms: pieces of the length, in order, with the rest of the range as gaps between and around them.
    used = np.arange(_N_WINDOWS) < count[:, None]
    piece = (0.3 + rng.random((n, _N_WINDOWS))) * used
    piece *= (length / piece.sum(1))[:, None]
    gap = rng.random((n, _N_WINDOWS + 1)) * np.concatenate([np.ones((n, 1), bool), used], 1)
    gap *= ((span - length) / gap.sum(1))[:, None]
    starts = low + np.cumsum(gap[:, :-1], 1) + np.cumsum(piece, 1) - piece
    seen = np.stack([starts, starts + piece], -1)
    if sizes.usual_windows:
        usual = np.asarray(sizes.usual_windows)[rng.integers(len(sizes.usual_windows), size=n)]
        usual = usual + 10 * (2 * rng.random((n, 2)) - 1)
        seen[rng.random(n) < sizes.usual_share] = 0
        empty = ~seen[:, 0].any(1)
        seen[empty, 0] = usual[empty]
    whole = rng.random(n) < sizes.whole_share
    for k, one in enumerate(sizes.presets):
        windows = np.zeros((_N_WINDOWS, 2))
        inside = [w for w in one.windows if w[1] > low and w[0] < high][:_N_WINDOWS]
        windows[: len(inside)] = inside
        # A preset is seen where it sees, except for a part of those that see more than is asked for.
        of = (numbers["preset"] == k) & (whole | (one.coverage(grid) < 0.5) | (rng.random(n) < 0.4))
        seen[of], whole[of] = windows, False
    seen[whole] = 0
    seen[whole, 0] = low, high
    if sizes.windows:
        seen = np.zeros((n, len(sizes.windows), 2))
        seen[:] = sizes.windows
    # Beyond the ends of the emulator's grid nothing is known, which smoothing brings in.
    reach = unseen_ends(numbers["excess"], grid)[:, None]
    seen = np.stack([seen[..., 0].clip(min=low + reach), seen[..., 1].clip(max=high - reach)], -1)

    bands = np.asarray(list(TELLURIC.values()))
    cut = (rng.random((n, 1)) < sizes.telluric[0]) | (rng.random((n, len(bands))) < sizes.telluric[1])
    bands = (bands + 20 * rng.standard_normal((n, *bands.shape))) * cut[..., None]
    centre, half = (
        low + span * rng.random((n, _N_CHUNKS)),
        0.5 * sizes.chunks * rng.random((n, _N_CHUNKS)) ** 2,
    )
    half *= rng.random((n, _N_CHUNKS)) < 0.5
    chunks = np.stack([centre - half, centre + half], -1) * (half > 0)[..., None]
    cut = np.concatenate([bands, chunks], 1)
    overlap = np.minimum(cut[:, :, None, 1], seen[:, None, :, 1]) - np.maximum(
        cut[:, :, None, 0], seen[:, None, :, 0]
    )
    length = (seen[..., 1] - seen[..., 0]).clip(min=0).sum(1)
    left = length - overlap.clip(min=0).sum((1, 2))
    cut[left < sizes.least * span] = 0
    left = np.where(left < sizes.least * span, length, left)
    lost = np.where(rng.random(n) < 0.1, sizes.bad_pixels[1], sizes.bad_pixels[0]) * rng.random(n)
    lost = np.minimum(lost, (1 - sizes.least * span / np.maximum(left, 1e-9)).clip(min=0))
    return {
        "seen": seen,
        "cut": cut,
        # Of fine pixels several make one of the grid's, which one lost is enough to lose.
        "bad_fraction": 1 - (1 - lost) ** np.minimum(numbers["width"] / grid.width[0], 1),
    }
