"""How well radial velocities are measured where spectra were not brought to rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from specvit.assess.scene import STARS, Scene
from specvit.assess.troubles import Trouble
from specvit.spectra import Flag

__all__ = ["VelocityCell", "velocity_cells"]

#: Standard errors beyond which a velocity is a catastrophic failure, and the least that this means in km/s.
_FAILED_SIGMAS, _FAILED = 5.0, 30.0


@dataclass(frozen=True)
class VelocityCell:
    """Velocities measured of one star at one S/N.

    Attributes
    ----------
    star : str
        Name of the star.
    snr : float
        Median flux/σ per pixel.
    bias, bias_err : float
        Mean of measured less true velocity and its standard error, km/s, without failures.
    scatter : float
        Standard deviation of the same, km/s.
    pull : float
        Rms of the difference over the stated error, without failures.
    failed : float
        Share of spectra off by more than 5 σ and 30 km/s.
    alarmed : float
        Share of the failures that raise an alarm; NaN without any.
    logg_bias : float
        Median of log g with ``velocity="fit"`` less the true one.
    """

    star: str
    snr: float
    bias: float
    bias_err: float
    scatter: float
    pull: float
    failed: float
    alarmed: float
    logg_bias: float


def velocity_cells(predictor, *, snr=(5, 10, 30), stars=STARS, largest=500.0, draws=100, seed=0):
    """Measure the velocity of stars shifted by up to `largest` km/s, and predict them at rest.

    Parameters
    ----------
    predictor : Predictor
        On the grid of the emulator that ships.
    snr : sequence of float
        Median flux/σ per pixel.
    stars : dict of str to labels
        As `~specvit.assess.scene.STARS`.
    largest : float
        Velocities are equally spaced from −largest to largest, km/s.
    draws : int
        Number of velocities, one spectrum each.
    seed : int
        Seed of the noise.

    Yields
    ------
    VelocityCell
    """
    velocities = np.linspace(-largest, largest, draws)
    for i, (star, labels) in enumerate(stars.items()):
        for ratio in snr:
            scene, flux, ivar = Scene(labels, ratio), [], []
            for k, v in enumerate(velocities):
                moved = Trouble("moved", lambda scene, v=v: scene.light(velocity=v))
                one = moved.spectra(scene, 1, [seed, i, int(ratio), k])
                flux.append(one[0][0])
                ivar.append(one[1][0])
            found = predictor.predict_labels(
                np.array(flux), ivar=np.array(ivar), velocity="fit", on_error="nan"
            )
            yield _cell(star, labels, ratio, velocities, found)


def _cell(star, labels, snr, velocities, found):
    off, err = found.findings.velocity - velocities, found.findings.velocity_err
    failed = ~(np.abs(off) <= np.maximum(_FAILED, _FAILED_SIGMAS * err))
    good, alarmed = ~failed, (found.batch.flags & Flag.ALARMS) != 0
    logg = found.columns(["logg"])[0][:, 0]
    return VelocityCell(
        star=star,
        snr=float(snr),
        bias=float(off[good].mean()),
        bias_err=float(off[good].std(ddof=1) / good.sum() ** 0.5),
        scatter=float(off[good].std(ddof=1)),
        pull=float(np.sqrt(np.mean((off[good] / err[good]) ** 2))),
        failed=float(failed.mean()),
        alarmed=float(alarmed[failed].mean()) if failed.any() else np.nan,
        logg_bias=float(np.nanmedian(logg[good]) - labels[1]),
    )
