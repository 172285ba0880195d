"""`Predictions`: labels of spectra as plain numbers, from which quantities and tables are made."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from specvit.exceptions import AlarmWarning
from specvit.honesty.findings import Findings
from specvit.labels import label_of
from specvit.predictors.resulttables import describe_columns
from specvit.spectra import Flag, SpectrumBatch

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["Predictions", "flag_labels", "label_unit", "warn_of_alarms"]

#: Rows that the text of `Predictions` shows.
_SHOWN = 5
#: A prediction this close to the end of the training range, as a share of it, is flagged.
_EDGE = 0.01
#: Median S/N per pixel below which labels are determined by the prior more than by the spectrum.
_LOWEST_SNR = 1.0


@dataclass(frozen=True, repr=False)
class Predictions:
    """All labels of n spectra, as plain numbers.

    Attributes
    ----------
    names : tuple of str
        Names of the labels, as in `specvit.labels`.
    mean, sigma : ndarray of float64, shape (n, n_labels)
        Labels in their units (Teff in K, log g in dex(cm/s²), abundances in dex) and their standard errors.
        NaN where there is no answer; `sigma` also where the predictor gives none.
    shape : tuple of int
        Shape of the input: ``()`` for one spectrum, the spatial shape for a cube. Rows are in C order.
    batch : SpectrumBatch or None
        The spectra on the grid, with the predictor's flags and reasons; None for plain features.
    details : object
        Further results of some predictors: the `TemplateResult` of a `TemplateFit`, None for the others.
    findings : Findings or None
        What the spectra themselves say: velocity, width, dilution, and whether the labels fit; None for plain
        features.

    See Also
    --------
    Predictor.predict_labels : Gives them.

    Examples
    --------
    >>> found = Predictions(("teff", "logg"), np.array([[4700, 2.2]]), np.array([[60, 0.1]]), ())
    >>> mean, sigma = found.quantities(["logg"], axis=False)
    >>> mean, sigma
    (<Dex 2.2 dex(cm / s2)>, <Quantity 0.1 dex>)
    """

    names: tuple[str, ...]
    mean: np.ndarray
    sigma: np.ndarray
    shape: tuple[int, ...]
    batch: SpectrumBatch | None = None
    details: Any = None
    findings: Findings | None = None

    def __len__(self) -> int:
        return len(self.mean)

    def columns(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and σ of the labels `names`, both ndarray (n, len(names))."""
        index = [self.names.index(name) for name in names]
        return self.mean[:, index], self.sigma[:, index]

    def numbers(self, names: Sequence[str], *, axis: bool) -> tuple[np.ndarray, ...]:
        """Mean and σ as plain arrays in the shape of the input.

        Parameters
        ----------
        names : sequence of str
            Labels that are wanted.
        axis : bool
            Whether there is a last axis of labels; without it `names` must be of length one.

        Returns
        -------
        mean, sigma : ndarray, shape `shape` or `shape` + (len(names),)
        """
        ending = (len(names),) if axis else ()
        return tuple(values.reshape(self.shape + ending) for values in self.columns(names))

    def quantities(self, names: Sequence[str], *, axis: bool) -> tuple[Any, Any]:
        """Mean and σ with units, in the shape of the input.

        Parameters
        ----------
        names : sequence of str
            Labels that are wanted.
        axis : bool
            Whether to return dicts by name; without it `names` must be of length one.

        Returns
        -------
        mean, sigma : Quantity of shape `shape`, or dict of str to Quantity
            Means and standard errors; the mean of log g is a `~astropy.units.Dex`.
        """
        found = {name: self.numbers([name], axis=False) for name in names}
        units = {name: label_unit(name) for name in names}
        mean, sigma = ({name: found[name][k] * units[name][k] for name in names} for k in (0, 1))
        return (mean, sigma) if axis else (mean[names[0]], sigma[names[0]])

    def table(self, **more: Any) -> QTable:
        """A table with one row for each spectrum.

        Parameters
        ----------
        **more : array-like of length n
            Further columns.

        Returns
        -------
        `~astropy.table.QTable`
            Each label with ``<label>_err``; ``name`` of the object, if any has one; ``snr``, ``coverage``,
            ``resolution``, the further columns, ``flags`` and ``error``.
        """
        from astropy.table import QTable

        table = QTable(meta=self._assumed())
        for k, name in enumerate(self.names):
            unit, error_unit = label_unit(name)
            table[name] = self.mean[:, k] * unit
            table[f"{name}_err"] = self.sigma[:, k] * error_unit
        if any(self.batch.names):
            table["name"] = self.batch.names
        for name in ("snr", "coverage", "resolution"):
            table[name] = getattr(self.batch, name)
        for name, values in more.items():
            table[name] = values
        table["flags"] = self.batch.flags
        table["error"] = [reason or "" for reason in self.batch.errors]
        return describe_columns(table)

    def __repr__(self) -> str:
        ends = slice(None) if len(self) <= _SHOWN else slice(_SHOWN)
        rows = [
            ", ".join(
                f"{label_of(name).plain} {x:.{label_of(name).decimals}f} ± {s:.{label_of(name).decimals}f}"
                for name, x, s in zip(self.names, mean, sigma, strict=True)
            )
            for mean, sigma in zip(self.mean[ends], self.sigma[ends], strict=True)
        ]
        more = [f"... {len(self) - _SHOWN} more"] if len(self) > _SHOWN else []
        many = f"{len(self)} spectr{'um' if len(self) == 1 else 'a'}"
        return "\n  ".join([f"Predictions of {many}", *rows, *more])

    def _repr_html_(self):
        return repr(self).replace("\n", "<br>") if self.batch is None else self.table()._repr_html_()

    def _assumed(self):
        """Metadata of a table: this package's version, and what had to be assumed of how many spectra."""
        from specvit import __version__

        n, flags = len(self), self.batch.flags
        kinds = {
            "MEDIUM": (Flag.MEDIUM_ASSUMED, "vacuum"),
            "RESOLVE": (Flag.RESOLUTION_ASSUMED, "column resolution"),
            "NOISE": (Flag.NO_UNCERTAINTY, "from scatter"),
        }
        counts = {key: int((flags & flag > 0).sum()) for key, (flag, _) in kinds.items()}
        said = {
            key: f"{kinds[key][1]}, assumed for {count} of {n}" if count else "stated"
            for key, count in counts.items()
        }
        return {"SPECVIT": __version__} | said


def label_unit(name):
    """Units of a label and of its error, as astropy's: K, dex(cm/s²) and dex, or dex."""
    import astropy.units as u

    label = label_of(name)
    return u.Unit(label.unit), u.Unit(label.error_unit)


def flag_labels(batch, names, mean, label_range):
    """Flag labels at the ends of the range learned from, and spectra of very low S/N.

    Parameters
    ----------
    batch : SpectrumBatch
        Its flags are completed.
    names : sequence of str
        Labels in the columns of `mean`.
    mean : ndarray, shape (n, n_labels)
        Predicted labels.
    label_range : dict of str to (float, float)
        Lowest and highest value in training; a label without one is not judged.
    """
    for k, name in enumerate(names):
        if name in label_range:
            low, high = label_range[name]
            margin = _EDGE * (high - low)
            outside = (mean[:, k] < low + margin) | (mean[:, k] > high - margin)
            batch.flags[outside] |= int(Flag.OUT_OF_DOMAIN)
    batch.flags[batch.usable & ~(batch.snr >= _LOWEST_SNR)] |= int(Flag.LOW_SNR)


def warn_of_alarms(batch, stacklevel=3):
    """Warn once of all alarms among the answered spectra of a batch, with their counts.

    Parameters
    ----------
    batch : SpectrumBatch
        Flagged spectra.
    stacklevel : int
        As of `warnings.warn`; by default the warning points at the caller of the caller.
    """
    flags = batch.flags[batch.usable]  # the others have no number that could mislead
    alarmed = (flags & Flag.ALARMS) != 0
    if not alarmed.any():
        return
    counts = {flag.name: int((flags & flag != 0).sum()) for flag in Flag if flag & Flag.ALARMS}
    told = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    warnings.warn(
        f"{int(alarmed.sum())} of {len(batch)} spectra raise an alarm, and their labels are not to be "
        f"trusted ({told}); predict_table tells which, and what was measured of them",
        AlarmWarning,
        stacklevel=stacklevel,
    )
