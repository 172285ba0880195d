"""The frozen test of networks for any instrument: cells of resolution × window × S/N."""

from __future__ import annotations

import dataclasses
from itertools import product

import numpy as np

from specvit.assess.metrics import label_metrics
from specvit.network.conformal import predict_batches
from specvit.survey import PRIORS, AnyInstrument, Survey
from specvit.survey.streams import SCORING

__all__ = ["CELLS", "TEST_SIZES", "predict_survey", "score_cells", "survey_of_cell"]

#: Resolving power, window in Å, S/N per native pixel.
CELLS = tuple(
    product(
        (1500.0, 2500.0, 4000.0, 6000.0),
        ((7100.0, 8850.0), (8400.0, 8850.0), (8460.0, 8700.0)),
        (20.0, 100.0),
    )
)
#: Observations of the test: 1.7–4.2 pixels per FWHM, errors of the lines on four scales, nothing masked but
#: what is outside of the window.
TEST_SIZES = AnyInstrument(
    preset_share=0.0,
    own_share=0.0,
    sharper_share=0.0,
    lsf_spread=0.10,
    lsf_err=0.104,
    oversampled_share=0.0,
    fine_share=0.0,
    logarithmic_share=0.0,
    constant_fwhm_share=1.0,
    telluric=(0.0, 0.0),
    telluric_residual=0.0,
    chunks=0.0,
    bad_pixels=(0.0, 0.0),
    line_err=((1.7, 0.12), (14.0, 0.06), (110.0, 0.06), (1750.0, 0.05)),
    rotation=(0.0, 0.0),
    macroturbulence=0.0,
    reddening=0.0,
    pseudo_share=0.0,
    sky_residual=0.0,
    correlated_share=0.0,
)
_SEED = 77


def survey_of_cell(cell, **arguments):
    """The test survey of one of `CELLS`: stars of the prior ``pfs-mr``.

    Parameters
    ----------
    cell : (float, (float, float), float)
        Resolving power, window in Å, S/N per native pixel.
    **arguments
        For `~specvit.survey.Survey`: ``emulator``, the library that the network knows; ``observed`` with
        other sizes than `TEST_SIZES`.

    Examples
    --------
    >>> survey_of_cell(CELLS[0]).name
    'any'
    """
    power, window, snr = cell
    observed = arguments.pop("observed", TEST_SIZES)
    observed = dataclasses.replace(
        observed, resolving_power=(power, power), windows=(window,), snr=(snr, snr)
    )
    return Survey("any", seed=_SEED, observed=observed, prior=PRIORS["pfs-mr"], **arguments)


def predict_survey(regressor, survey, n, *, device="cpu", batch_size=1000):
    """Predictions of `n` stars of a survey of any instrument, of streams that are kept for scoring.

    Parameters
    ----------
    regressor : LabelRegressor
        A network with the encoding ``instrument``.
    survey : InstrumentSurvey
        Where the stars come from.
    n : int
        Number of stars.
    device : str or torch.device
        Where spectra are made: the regressor's.
    batch_size : int
        Spectra simulated and predicted at once.

    Returns
    -------
    mean, sigma, labels, snr : ndarray
        As of `specvit.network.conformal.predict_batches`.

    Examples
    --------
    >>> from specvit.assess.instrumentcells import predict_survey
    >>> from specvit.survey import Survey
    >>> from specvit.weights import load_weights
    >>> predict_survey(load_weights("any")[0], Survey("any"), 3)[0].shape
    (3, 5)
    """
    sizes = [min(batch_size, n - start) for start in range(0, n, batch_size)]
    drawn = (survey.draw(size, stream=SCORING + i, device=device).training for i, size in enumerate(sizes))
    return predict_batches(regressor, drawn)


def score_cells(regressor, *, n=4000, cells=CELLS, device="cpu", batch_size=1000, **arguments):
    """Metrics of every label in each cell of the frozen test.

    Parameters
    ----------
    regressor : LabelRegressor
        A network with the encoding ``instrument``.
    n : int
        Stars in each cell, the same in all.
    cells : sequence
        Cells of `CELLS`, or others of this form.
    device : str or torch.device
        Where spectra are made: the regressor's.
    batch_size : int
        Spectra simulated and predicted at once.
    **arguments
        For `survey_of_cell`.

    Returns
    -------
    list of dict
        ``resolving_power``, ``low``, ``high``, ``snr`` (per native pixel), ``snr_pixel`` (observed median per
        pixel of the grid), ``unusable``, and for each label its `label_metrics`.

    Examples
    --------
    >>> from specvit.weights import load_weights
    >>> (row,) = score_cells(load_weights("any")[0], n=20, cells=CELLS[:1])
    >>> row["resolving_power"], row["snr"], bool(0 < row["logg"]["mae"] < 1)
    (1500.0, 20.0, True)
    """
    rows = []
    for cell in cells:
        survey = survey_of_cell(cell, **arguments)
        mean, sigma, labels, snr = predict_survey(regressor, survey, n, device=device, batch_size=batch_size)
        used = np.isfinite(mean).all(1)
        row = {"resolving_power": cell[0], "low": cell[1][0], "high": cell[1][1], "snr": cell[2]}
        row |= {"snr_pixel": float(np.median(snr[used])), "unusable": int((~used).sum())}
        rows.append(
            row
            | {
                name: label_metrics(labels[used, k], mean[used, k], sigma[used, k])
                for k, name in enumerate(regressor.label_names)
            }
        )
    return rows
