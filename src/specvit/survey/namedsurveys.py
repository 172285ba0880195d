"""The surveys that have a name: their labels, magnitudes and imperfections."""

from __future__ import annotations

from dataclasses import dataclass

from specvit.survey.augmentation import Augmentation
from specvit.survey.priors import PRIORS, LabelPrior

__all__ = ["NAMED", "NamedSurvey"]


@dataclass(frozen=True)
class NamedSurvey:
    """Prior, magnitudes and imperfections of a named survey; its noise is PFS MR at reference conditions.

    Attributes
    ----------
    prior : LabelPrior
        Distribution of the labels.
    magnitude : tuple of float
        Limits of the uniform distribution of magnitudes.
    augmentation : Augmentation
        Sizes of the imperfections.
    """

    prior: LabelPrior
    magnitude: tuple[float, float]
    augmentation: Augmentation


NAMED = {
    "paper": NamedSurvey(PRIORS["paper"], (20.5, 22.5), Augmentation()),
    "pfs-mr": NamedSurvey(
        PRIORS["pfs-mr"],
        (17.0, 23.0),
        Augmentation(
            max_velocity=20.0,
            lsf_range=(0.9, 1.1),
            line_error=0.12,
            calibration=(0.12, 0.05, 0.03, 0.02, 0.02),
            sky_residual=0.01,
            chunks=4,
            chunk_pixels=200,
            bad_pixels=0.03,
            missing_end=0.35,
            flat_noise=0.25,
            sky_brightness=0.5,
            noise_shape=0.25,
            reported_error=0.1,
            correlated_noise=0.5,
        ),
    ),
}
