"""A figure of one prediction: the spectrum, that of the predicted labels, and what is left in σ."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from specvit.assess.plots.information import mark_lines
from specvit.assess.plots.style import SMALL, TEXT, dress
from specvit.grid import TELLURIC, air_to_vacuum
from specvit.labels import LABELS, label_of
from specvit.predictors.fittedspectrum import FittedSpectrum, fitted_spectrum
from specvit.spectra import Flag

__all__ = ["GRAVITY_LINES", "plot_fit"]

#: Lines that tell the gravity of cool stars, in groups that are named together: element and vacuum Å (NIST
#: Atomic Spectra Database, stated there in air).
GRAVITY_LINES = tuple(
    (name, tuple(air_to_vacuum(np.array(wave)).round(2).tolist()))
    for name, wave in (
        ("Fe I", (7445.75, 7495.07, 7511.02)),
        ("K I", (7664.90, 7698.96)),
        ("Na I", (8183.26, 8194.82)),
        ("Fe I", (8327.06,)),
        ("Ti I", (8426.51, 8434.96)),
        ("Ca II", (8498.02, 8542.09, 8662.14)),
        ("Fe I", (8688.62,)),
        ("Mg I", (8806.76,)),
    )
)
#: Parts that are shown larger, vacuum Å at rest.
_DETAILS = ((8165.0, 8215.0), (8515.0, 8573.0), (8785.0, 8835.0))
_SIZE, _HEIGHTS = (7.0, 4.9), (1.7, 0.8, 1.3)
_DATA, _MODEL = "0.35", "#D55E00"
_MASKED, _TELLURIC = ({"facecolor": c, "edgecolor": "none", "zorder": 0} for c in ("0.82", "#DCEBF7"))
_LEAST = 15  # pixels in a part that is worth being shown
#: Letters of a name that fits beside the labels, and of a line of the title.
_SHORT_NAME, _LETTERS = 14, 110
#: Order in which labels are written.
_WRITTEN = sorted(LABELS, key=lambda name: name != "logg")
_FRAME = (
    1.25  # of the range of the flux, above its lowest, that the frame reaches: names of lines stand there
)


def plot_fit(spectrum: Any, estimator: Any = None, *, figure: Any = None, **stated: Any) -> Any:
    """A spectrum, the model of the labels predicted of it, residuals in σ, and the lines that tell gravity.

    Parameters
    ----------
    spectrum : `~specutils.Spectrum` or FittedSpectrum
        One star; or what `~specvit.predictors.fitted_spectrum` has made of it.
    estimator : Predictor, optional
        Who predicts; by default ``LoggEstimator()``.
    figure : matplotlib Figure, optional
        Where to draw; by default in a new figure of two columns.
    **stated : object
        ``medium``, ``resolution``, ``instrument``, ``mask``, ``velocity`` and further arguments of
        `~specvit.predictors.Predictor.predict`.

    Returns
    -------
    ndarray of matplotlib Axes
        Flux and model on the spectrum's own axis; residuals over σ, cut at what 99.5 % of them need; and up
        to three parts with lines that tell gravity. Grey: pixels not used. Blue: telluric bands.

    Raises
    ------
    TypeError, ValueError, SpectrumError
        As `~specvit.predictors.fitted_spectrum` does; TypeError if a fit is given with what it was made with.

    Examples
    --------
    .. plot::

        >>> from specvit import example_spectrum
        >>> from specvit.assess.plots import plot_fit
        >>> axes = plot_fit(example_spectrum())
        >>> len(axes)
        5
    """
    if isinstance(spectrum, FittedSpectrum):
        if estimator is not None or stated:
            raise TypeError(f"a FittedSpectrum has its labels already, got {[*stated] or 'an estimator'}")
        fit = spectrum
    else:
        fit = fitted_spectrum(spectrum, estimator, **stated)
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=_SIZE, layout="constrained")
    near = np.isfinite(fit.model.data)
    axis = fit.spectrum.spectral_axis.value[near]
    flux, model, used = fit.spectrum.data[near], fit.model.data[near], fit.used[near]
    order = np.argsort(axis)
    axis, flux, model, used = axis[order], np.where(used, flux, np.nan)[order], model[order], used[order]
    residual = fit.residual[near][order]
    windows = [np.sort(fit.on_axis(window, at_rest=True)) for window in _DETAILS]
    parts = [ends for ends in windows if np.sum(used & (axis > ends[0]) & (axis < ends[1])) >= _LEAST]
    rows = 3 if parts else 2
    cells = figure.add_gridspec(rows, max(len(parts), 1), height_ratios=_HEIGHTS[:rows])
    top = figure.add_subplot(cells[0, :])
    below = figure.add_subplot(cells[1, :], sharex=top)
    details = [figure.add_subplot(cells[2, k]) for k in range(len(parts))]
    for ax in (top, *details):
        ax.step(axis, flux, where="mid", color=_DATA, linewidth=0.5)
        ax.plot(axis, model, color=_MODEL, linewidth=0.6)
        _shade(dress(ax), fit, axis, used)
    dress(below).step(axis, residual, where="mid", color=_DATA, linewidth=0.4)
    _shade(below, fit, axis, used)
    for level in (-3, 0, 3):
        below.axhline(level, color=_MODEL, linewidth=0.6, linestyle="-" if level == 0 else (0, (4, 3)))
    reach = max(4.0, 1.1 * np.nanpercentile(np.abs(residual), 99.5))
    below.set(xlim=axis[[0, -1]], ylim=(-reach, reach))
    top.tick_params(labelbottom=False)
    _frame(top, flux, model, np.ones(axis.size, bool))
    _name_lines(top, fit, axis)
    for ax, ends in zip(details, parts, strict=True):
        ax.set_xlim(ends)
        _frame(ax, flux, model, (axis > ends[0]) & (axis < ends[1]))
        _name_lines(ax, fit, ends)
        ax.locator_params(axis="x", nbins=4)
        ax.tick_params(labelleft=False)
    unit = fit.spectrum.unit
    top.set_ylabel("flux" + (f"\n[{unit:latex_inline}]" if str(unit) else ""), fontsize=SMALL)
    below.set_ylabel("residual / σ", fontsize=SMALL)
    name = f"wavelength in {fit.medium} [{fit.spectrum.spectral_axis.unit:latex_inline}]"
    figure.supxlabel(name, fontsize=TEXT)
    figure.align_ylabels([top, below])
    figure.suptitle(_words(fit), fontsize=SMALL, x=0.01, ha="left")
    return np.array([top, below, *details], dtype=object)


def _frame(ax, flux, model, shown):
    """Vertical range: all of the model, 98 % of the pixels shown, and room for names of lines."""
    low, high = np.nanpercentile(flux[shown], [1, 99])
    low, high = min(low, model[shown].min()), max(high, model[shown].max())
    ax.set_ylim(low - 0.06 * (high - low), low + _FRAME * (high - low))


def _name_lines(ax, fit, axis):
    """Names of the lines of gravity within an axis."""
    ends = np.sort([axis[0], axis[-1]])
    for name, wave in GRAVITY_LINES:
        mark_lines(ax, ends, {name: fit.on_axis(wave, at_rest=True)})


def _shade(ax, fit, axis, used):
    """Telluric bands, and runs of pixels that were not used."""
    for band in TELLURIC.values():
        low, high = np.sort(fit.on_axis(band, at_rest=False)).clip(axis[0], axis[-1])
        if low < high:
            ax.axvspan(low, high, **_TELLURIC)
    steps = np.diff(np.concatenate([[0], (~used).astype(int), [0]]))
    middle = np.concatenate([axis[:1], 0.5 * (axis[1:] + axis[:-1]), axis[-1:]])
    for first, last in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
        ax.axvspan(middle[first], middle[last], **_MASKED)


def _words(fit):
    """Labels with errors, what the spectrum says itself, and the flags in words."""
    found = fit.predictions
    mean, sigma = (dict(zip(found.names, x[0], strict=True)) for x in (found.mean, found.sigma))
    values = [
        f"{one.tex} = {mean[one.name]:.{one.decimals}f} ± {sigma[one.name]:.{one.decimals}f}"
        + (" K" if one.error_unit == "K" else "")
        for one in map(label_of, _WRITTEN)
    ]
    rms = np.sqrt(np.nanmean(fit.residual**2))
    facts = [f"S/N {found.batch.snr[0]:.0f}", f"rms residual {rms:.2f} σ"]
    velocity, error = found.findings.velocity[0], found.findings.velocity_err[0]
    if np.isfinite(velocity):
        facts.append(f"v = {velocity:.1f} ± {error:.1f} km/s")
    name = found.batch.names[0]
    flags = "; ".join(Flag.in_words(found.batch.flags[0])) or "no flags"
    first = ",  ".join(values)
    lines = [f"{name}:  {first}"] if 0 < len(name) <= _SHORT_NAME else [*([name] if name else []), first]
    lines += textwrap.wrap(",  ".join([*facts, flags]), _LETTERS)
    return "\n".join(lines).replace("-", "−")
