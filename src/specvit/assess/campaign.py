"""The campaign of troubles: which cells a predictor gets silently wrong, and how often it cries wolf."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from specvit.assess.scene import STARS, Scene
from specvit.assess.troubles import TROUBLES
from specvit.spectra import Flag

__all__ = ["Cell", "campaign", "summary"]

_GRAVITY = 1  # place of log g among the labels of `STARS`
_WRONG = 0.3  # dex


@dataclass(frozen=True)
class Cell:
    """What a predictor says of one star, signal-to-noise ratio and kind of trouble.

    Attributes
    ----------
    trouble, star : str
        Kind of trouble, and name of the star.
    snr : float
        Median flux/σ per pixel.
    harmless : bool
        Whether the kind is to be left alone.
    error : float
        Median of the predicted log g less the true one; NaN where nothing was predicted.
    wrong : float
        Share of draws whose log g errs by more than max(0.3 dex, 2 σ).
    told : float
        Share of draws refused or alarmed.
    silent : float
        Share of draws that are wrong and not told.
    alarms : dict of str to float
        Share of draws with each alarm; "refused" for those without an answer.
    """

    trouble: str
    star: str
    snr: float
    harmless: bool
    error: float
    wrong: float
    told: float
    silent: float
    alarms: dict[str, float]

    @property
    def silently_wrong(self):
        """Whether most draws err and are not told."""
        return self.silent > 0.5


def campaign(
    predictor,
    *,
    snr=(10, 30, 100),
    stars=STARS,
    troubles=TROUBLES,
    draws=20,
    seed=0,
    grid=None,
    given=None,
):
    """Cells of all stars, signal-to-noise ratios and kinds of trouble.

    Parameters
    ----------
    predictor : Predictor
        On the grid of the emulator that ships, with log g among its labels.
    snr : sequence of float
        Median flux/σ per pixel.
    stars : dict of str to labels
        As `~specvit.assess.scene.STARS`.
    troubles : sequence of Trouble
        Kinds to be tried.
    draws : int
        Spectra of each cell.
    seed : int
        Noise and other chances follow from it, the place in the campaign and nothing else.
    grid : PixelGrid, optional
        Pixels on which the stars are recorded; by default those of the predictor.
    given : callable, optional
        Makes what is handed to the predictor of flux (n, n_pixels), inverse variance or None, and grid. By
        default arrays are.

    Yields
    ------
    Cell
    """
    for i, trouble in enumerate(troubles):
        for j, (star, labels) in enumerate(stars.items()):
            scenes = [Scene(labels, ratio, grid) for ratio in snr]
            parts = [trouble.spectra(scene, draws, [seed, i, j, int(scene.snr)]) for scene in scenes]
            flux = np.concatenate([part[0] for part in parts])
            ivar = None if parts[0][1] is None else np.concatenate([part[1] for part in parts])
            if given is None:
                found = predictor.predict_labels(flux, ivar=ivar, on_error="nan")
            else:
                found = predictor.predict_labels(given(flux, ivar, scenes[0].grid), on_error="nan")
            for k, scene in enumerate(scenes):
                rows = slice(k * draws, (k + 1) * draws)
                yield _cell(trouble, star, scene.snr, labels[_GRAVITY], found, rows)


def _cell(trouble, star, snr, truth, found, rows):
    mean, sigma = (values[rows, 0] for values in found.columns(["logg"]))
    flags = found.batch.flags[rows]
    refused = (flags & Flag.UNUSABLE) > 0
    told = refused | ((flags & Flag.ALARMS) > 0)
    wrong = np.abs(mean - truth) > np.maximum(_WRONG, 2 * sigma)
    alarms = {flag.name: np.mean((flags & flag) > 0) for flag in Flag if flag and flag & Flag.ALARMS}
    return Cell(
        trouble=trouble.name,
        star=star,
        snr=float(snr),
        harmless=trouble.harmless,
        error=float(np.median(mean[~refused] - truth)) if not refused.all() else np.nan,
        wrong=float(np.mean(wrong)),
        told=float(told.mean()),
        silent=float(np.mean(wrong & ~told)),
        alarms={name: float(share) for name, share in alarms.items() if share},
    )


def summary(cells):
    """Figures of a campaign: dict with numbers of cells, those silently wrong, false alarms."""
    cells = list(cells)
    trouble, harmless = ([c for c in cells if c.harmless is kind] for kind in (False, True))
    silent = sum(c.silently_wrong for c in cells)
    return {
        "cells": len(cells),
        "silently_wrong": silent,
        "share": silent / len(cells),
        "told": float(np.mean([c.told > 0.5 for c in trouble])) if trouble else np.nan,
        "false_alarms": float(np.mean([c.told for c in harmless])) if harmless else np.nan,
    }
