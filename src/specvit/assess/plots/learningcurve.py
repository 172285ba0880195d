"""Learning curves."""

from __future__ import annotations

from typing import Any

import numpy as np

from specvit.assess.plots.style import LEGEND, axis_name, name_axes, new_axes, plain_number, styles

__all__ = ["plot_learning_curve"]


def plot_learning_curve(history: Any, quantity: str = "loss", *, ax: Any = None) -> Any:
    """Loss, or a validation metric, against training steps.

    Parameters
    ----------
    history : dict, or dict of str to dict
        The history that `specvit.network.train` returns (``LoggEstimator.history_``), or several of them by
        name.
    quantity : str
        "loss": of training, thin, and of validation, with markers, the lowest ringed; else the name of
        an entry of validation, such as ``val_r2_logg`` or ``val_mae_teff``.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure of one column.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If a history has no such entry.

    Notes
    -----
    The axis of the loss leaves out the first 5 % of the steps, in which it falls from anywhere. With the
    loss ``gaussian_nll`` the validation is without the weight β of training, so the curves do not
    meet.

    Examples
    --------
    .. plot::

        >>> import numpy as np
        >>> from specvit.assess.plots import plot_learning_curve
        >>> step = np.arange(50, 5001, 50)
        >>> history = {"step": step, "train_loss": 0.4 + 2 * step**-0.4}
        >>> history |= {"val_step": step[9::10], "val_loss": 0.42 + 2 * step[9::10] ** -0.4}
        >>> ax = plot_learning_curve(history)
    """
    runs = history if history and all(isinstance(run, dict) for run in history.values()) else {"": history}
    for name, run in runs.items():
        needed = ("step", "train_loss") if quantity == "loss" else ("val_step", quantity)
        missing = [key for key in needed if not len(run.get(key, ()))]
        if missing:
            which = f"history of {name!r}" if name else "history"
            raise ValueError(
                f"{which} must have the entries {needed}, it lacks {missing} (quantity={quantity!r})"
            )
    ax = new_axes(ax)
    shown = []
    for name, style in styles(runs).items():
        run, prefix = runs[name], f"{name}, " if name else ""
        if quantity == "loss":
            step, loss = np.asarray(run["step"]), np.asarray(run["train_loss"], float)
            ax.plot(step, loss, color=style["color"], linewidth=0.5, alpha=0.7, label=f"{prefix}training")
            shown.append(loss[step >= 0.05 * step[-1]])
        key = "val_loss" if quantity == "loss" else quantity
        if len(run.get(key, ())):
            step, value = np.asarray(run["val_step"]), np.asarray(run[key], float)
            label = f"{prefix}validation" if quantity == "loss" else name or None
            ax.plot(step, value, label=label, markersize=3, markeredgewidth=0, linewidth=1, **style)
            best = np.nanargmax(value) if "_r2_" in key else np.nanargmin(value)
            ax.plot(step[best], value[best], "o", ms=7, mfc="none", mec=style["color"], mew=0.8)
            shown.append(value[step >= 0.05 * step[-1]])
    values = np.concatenate(shown)
    if quantity == "loss":
        low, high = np.nanmin(values), np.nanmax(values)
        ax.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(plain_number)
    name_axes(ax, "step", _name(quantity))
    if any(runs) or quantity == "loss":
        ax.legend(loc="best", **LEGEND)
    return ax


def _name(quantity):
    if quantity == "loss":
        return "loss"
    metric, _, label = quantity.removeprefix("val_").partition("_")
    symbol = axis_name(label)
    if metric == "r2":
        return f"validation $R^2$ of {symbol.split(' [')[0]}"
    return axis_name(label, "validation MAE of {}") if metric == "mae" else quantity
