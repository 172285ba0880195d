"""What a network looks at: ``python -m studies.looking --stars 100 --out docs/results/studies``.

For giants and dwarfs of ``Survey("paper")`` at one magnitude, the shares that lines have of the Fisher
information about log g, of what the network's answer depends on (its sensitivity to noise, squared), of
integrated gradients and of attention; and the rank correlations of these over windows of the spectrum. This
study trains nothing, and takes a tenth of a second of a core for each star and point of the integration.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from specvit.assess.figures import save_figure
from specvit.assess.plots.information import LINES
from specvit.labels import LABELS
from specvit.survey import Survey

__all__ = ["GROUPS", "MEASURES", "line_shares", "look", "rank_correlations"]

#: Groups of stars by the limits of their log g.
GROUPS = {"giants": (1.0, 2.5), "dwarfs": (4.0, 5.0)}
#: What is compared with the information.
MEASURES = ("sensitivity", "integrated gradients", "attention")
WINDOW = 32  # pixels: a token of the bundled weights
_REACH = 4.0  # Å on either side of a line
_SEED, _BOOTSTRAP, _CANDIDATES = 20_001, 200, 4000


def _stars(group, n, magnitude):
    """`n` stars of a group as observed: flux and ivar, ndarrays (n, n_pixels)."""
    survey = Survey("paper", seed=_SEED)
    labels = survey.prior.sample(_CANDIDATES, np.random.default_rng(_SEED))
    low, high = GROUPS[group]
    logg = labels[:, LABELS.index("logg")]
    chosen = labels[(logg >= low) & (logg <= high)][:n]
    batch = survey.observe(chosen, magnitude, stream=list(GROUPS).index(group))
    return batch.flux.double().numpy(), batch.ivar.double().numpy()


def look(group, n, *, weights="paper", magnitude=20.5, n_steps=32, device="auto"):
    """The pixels that answers about log g rest on, of `n` stars of a group.

    Parameters
    ----------
    group : str
        One of `GROUPS`.
    n : int
        Number of stars.
    weights : str
        Weights that are looked at.
    magnitude : float
        Magnitude of the stars.
    n_steps : int
        Points of the integration.
    device : str
        Where.

    Returns
    -------
    wave : ndarray, shape (n_pixels,)
        Wavelengths of the pixels, Å.
    measures : dict of str to ndarray, shape (m, n_pixels)
        ``information`` and `MEASURES` of the m stars whose labels are within the emulator's, each adding up
        to one: information, squared sensitivity, |integrated gradients| from the mean spectrum of both
        groups of lines summed over `WINDOW` pixels, and attention.
    """
    from specvit import LoggEstimator
    from specvit.predictors import explain

    flux, ivar = _stars(group, n, magnitude)
    mean = np.mean([_stars(one, 100, magnitude)[0].mean(0) for one in GROUPS], axis=0)
    estimator = LoggEstimator(weights, device=device)
    found = explain(estimator, flux, "logg", ivar=ivar, baseline=mean / np.median(mean), n_steps=n_steps)
    known = np.isfinite(found.information).all(1)
    windows = np.abs(_binned(found.attribution[known]))
    measures = {
        "information": found.information[known],
        "sensitivity": found.sensitivity[known] ** 2,
        "integrated gradients": np.repeat(windows, WINDOW, 1)[:, : found.flux.shape[1]] / WINDOW,
        "attention": found.attention[known],
    }
    return found.grid.wave, {name: x / x.sum(1, keepdims=True) for name, x in measures.items()}


def _binned(values):
    """Sums over windows of `WINDOW` pixels, (n, n_pixels) -> (n, windows)."""
    n, n_pixels = values.shape
    padded = np.pad(values, ((0, 0), (0, -n_pixels % WINDOW)))
    return padded.reshape(n, -1, WINDOW).sum(2)


def line_shares(wave, measures):
    """Mean share of each line in each measure with its standard error over stars, a data frame.

    Pixels within 4 Å of a line of `specvit.assess.plots.information.LINES` count for it; ``pixels`` is the
    share that a measure which is equal everywhere would have.
    """
    rows = []
    for name, places in LINES.items():
        near = np.any([np.abs(wave - place) < _REACH for place in places], axis=0)
        row = {"line": name, "pixels": near.mean()}
        for measure, values in measures.items():
            share = values[:, near].sum(1)
            row[measure], row[f"{measure}_err"] = share.mean(), share.std(ddof=1) / len(share) ** 0.5
        rows.append(row)
    return pd.DataFrame(rows)


def rank_correlations(measures):
    """Spearman's ρ of each of `MEASURES` with the information over windows, with bootstrap errors over stars.

    Both are averaged over the stars first: {measure: (ρ, error)}.
    """
    windows = {name: _binned(values) for name, values in measures.items()}
    n, rng = len(windows["information"]), np.random.default_rng(0)
    draws = [np.arange(n), *(rng.integers(n, size=n) for _ in range(_BOOTSTRAP))]
    result = {}
    for name in MEASURES:
        rho = [spearmanr(windows["information"][k].mean(0), windows[name][k].mean(0))[0] for k in draws]
        result[name] = float(rho[0]), float(np.std(rho[1:], ddof=1))
    return result


def _draw(found, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.2 * len(found)))
    for k, (group, (wave, measures)) in enumerate(found.items()):
        axes = figure.add_subplot(len(found), 1, k + 1)
        centres = wave[WINDOW // 2 :: WINDOW]
        for name in ("information", *MEASURES):
            axes.step(
                centres,
                _binned(measures[name]).mean(0)[: centres.size],
                where="mid",
                label=name,
                lw=2 if name == "information" else 1,
                color="0.6" if name == "information" else None,
            )
        axes.set_yscale("log")
        axes.set_ylabel(f"share, {group}")
        axes.grid(alpha=0.3)
    axes.set_xlabel("wavelength in vacuum (Å)")
    where = {"loc": "lower center", "bbox_to_anchor": (0.5, 1)}
    figure.axes[0].legend(fontsize="small", ncols=4, frameon=False, **where)
    figure.tight_layout()
    save_figure(figure, path, ("svg",))


def main(arguments=None):
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.looking",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", required=True)
    parser.add_argument("--stars", type=int, default=100, help="of each group")
    parser.add_argument("--steps", type=int, default=32, help="points of the integration")
    parser.add_argument("--weights", default="paper")
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args(arguments)
    folder = Path(chosen.out)
    folder.mkdir(parents=True, exist_ok=True)
    options = {"weights": chosen.weights, "n_steps": chosen.steps, "device": chosen.device}
    found = {group: look(group, chosen.stars, **options) for group in GROUPS}
    tables = [line_shares(*pair).assign(stars=group) for group, pair in found.items()]
    table = pd.concat(tables)
    shown = pd.DataFrame({"stars": table["stars"], "line": table["line"]})
    shown["pixels"] = table["pixels"].map("{:.3f}".format)
    for name in ("information", *MEASURES):
        shown[name] = [f"{a:.3f} ± {b:.3f}" for a, b in zip(table[name], table[f"{name}_err"], strict=True)]
    shown.to_csv(folder / "looking.csv", index=False)
    ranks = [
        {"stars": group, "number": len(pair[1]["information"])}
        | {name: f"{rho:.2f} ± {err:.2f}" for name, (rho, err) in rank_correlations(pair[1]).items()}
        for group, pair in found.items()
    ]
    pd.DataFrame(ranks).to_csv(folder / "looking_ranks.csv", index=False)
    _draw(found, folder / "looking.svg")


if __name__ == "__main__":
    main()
