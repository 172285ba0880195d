"""Warnings of this package, so that users can silence or raise them as a family."""

from __future__ import annotations

__all__ = ["AlarmWarning", "SpecvitWarning"]


class SpecvitWarning(UserWarning):
    """Base of all warnings of this package.

    See Also
    --------
    AlarmWarning : Some predictions are not to be trusted.

    Examples
    --------
    Let a pipeline stop at any of them:

    >>> import warnings
    >>> from specvit.exceptions import SpecvitWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", SpecvitWarning)
    """


class AlarmWarning(SpecvitWarning):
    """``predict``, which returns no flags, has raised alarm flags (`specvit.spectra.Flag.ALARMS`).

    See Also
    --------
    specvit.predictors.Predictor.predict_table : Tells which spectra are meant, and what was measured of them.

    Examples
    --------
    >>> from specvit.exceptions import AlarmWarning, SpecvitWarning
    >>> issubclass(AlarmWarning, SpecvitWarning)
    True
    """
