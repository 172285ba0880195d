"""Which surveys have limits that are known here, and why the others have none."""

from __future__ import annotations

__all__ = ["require_plain", "require_prior"]


def require_plain(survey):
    """Check that the likelihood of this room describes the survey's spectra.

    Parameters
    ----------
    survey : Survey
        The survey to be checked.

    Raises
    ------
    ValueError
        If the survey has imperfections or radial velocities, which a likelihood would have to describe, a
        calibrated emulator, whose lines are not linear in components, or a noise without limits.
    """
    if survey.augmentation != type(survey.augmentation)():
        raise ValueError(
            f"survey must have no imperfections, {survey.name!r} has: its limits are known only for "
            f"Survey({survey.name!r}, augmentation=Augmentation())"
        )
    if survey.emulator.correction is not None:
        raise ValueError("survey must have an emulator that is not calibrated for its limits to be known")
    if survey.velocity:
        raise ValueError(
            f"survey must have stars at rest for its limits to be known, got {survey.velocity!r}"
        )
    if survey.noise.no_limits:
        raise ValueError(
            f"survey must have noise for its limits to exist, got {survey.noise!r}: {survey.noise.no_limits}"
        )


def require_prior(survey):
    """Check that the survey's prior maps the unit cube to labels, which the search of posteriors needs.

    Parameters
    ----------
    survey : Survey
        The survey to be checked.

    Raises
    ------
    ValueError
        If the prior does not map the unit cube to labels.
    """
    if not hasattr(survey.prior, "from_unit"):
        raise ValueError(
            "survey must have a prior with from_unit for its Bayes limit to be known, "
            f"got {type(survey.prior).__name__}"
        )
