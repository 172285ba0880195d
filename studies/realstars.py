"""Few real stars: STELIB, brought to the grid, learned from and predicted by cross-validation.

``python -m studies.realstars DATA --out stelib.npz`` prepares the spectra, where DATA is as for
``scripts/judge_real_stars.py``; the study ``real`` is then run with ``--data stelib.npz``, on a machine that
needs neither Astropy nor the spectra. Both files stay out of the project.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from specvit.grid import PFS_MR
from specvit.spectra import SpectrumBatch
from studies.fewstars import predict_few
from studies.scoring import figures_of_labels

__all__ = ["FOLDS", "batch_of", "fit_real", "folds_of", "prepare", "read_prepared"]

FOLDS = 5
_ARRAYS = ("flux", "ivar", "lsf", "sampling")


def prepare(data):
    """The stars of STELIB whose labels are not doubtful as arrays: spectra on the grid of PFS, and log g.

    Parameters
    ----------
    data : path
        Folder with ``stelib.npz`` and ``stelib.csv``.

    Returns
    -------
    dict of str to ndarray
        ``flux``, ``ivar``, ``lsf`` and ``sampling`` (n, n_pixels), ``logg`` (n,) and ``name`` (n,).
    """
    from scripts.judge_real_stars import STELIB_FWHM, read_stars
    from specvit.spectra import adapt

    spectra, rows = read_stars(Path(data), "stelib", "air", STELIB_FWHM)
    sure = [k for k, row in enumerate(rows) if not row["note"]]
    # As the weights `any` take them: pixels in telluric bands are masked, lower resolution is told.
    batch = adapt([spectra[k] for k in sure], medium="air", lower_resolution="flag")
    return {name: getattr(batch, name) for name in _ARRAYS} | {
        "logg": np.array([rows[k]["logg"] for k in sure]),
        "name": np.array([rows[k]["name"] for k in sure]),
    }


def read_prepared(path):
    """`SpectrumBatch` and log g (n,) of a file of what `prepare` gives."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in (*_ARRAYS, "logg")}
    n = len(arrays["logg"])
    return batch_of(arrays, np.arange(n)), arrays["logg"].astype(float)


def batch_of(arrays, chosen):
    """A `SpectrumBatch` of some rows of arrays by name."""
    own = {name: np.asarray(arrays[name])[chosen] for name in _ARRAYS}
    n, coverage = len(chosen), (own["ivar"] > 0).mean(1)
    flags, errors = np.zeros(n, np.int64), [None] * n
    return SpectrumBatch(coverage=coverage, flags=flags, errors=errors, shape=(n,), grid=PFS_MR, **own)


def folds_of(logg, seed, n_folds=FOLDS):
    """Fold of each star: `n_folds` neighbours in log g go to different ones, at random."""
    rng, fold = np.random.default_rng(seed), np.zeros(len(logg), int)
    order = np.argsort(logg, kind="stable")
    for start in range(0, len(order), n_folds):
        group = order[start : start + n_folds]
        fold[group] = rng.permutation(n_folds)[: len(group)]
    return fold


def fit_real(configuration, *, device, threads, data):
    """Predict each star by what was learned from the stars of other folds.

    Parameters
    ----------
    configuration : Configuration
        With the target ``stelib``. Without `spectra` the weights are used as they are; else all stars outside
        a fold are learned from. Its seed chooses the folds, too.
    device : torch.device
        Where networks are trained.
    threads : int
        Threads of LightGBM.
    data : path
        File that ``python -m studies.realstars`` has written.

    Returns
    -------
    dict
        Results of the row, under the test ``target``, with bootstrap errors over the stars.

    Raises
    ------
    ValueError
        If there is no such file.
    """
    if data is None or not Path(data).is_file():
        raise ValueError(f"data must be a file of prepared stars for target='stelib', got {data!r}")
    begun = time.monotonic()
    batch, logg = read_prepared(data)
    arrays = {name: getattr(batch, name) for name in _ARRAYS}
    fold = folds_of(logg, configuration.seed)
    mean, sigma = np.full((len(logg), 1), np.nan), np.full((len(logg), 1), np.nan)
    for k in range(FOLDS):
        known, unseen = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        own, stars = configuration, None
        if configuration.spectra is not None:
            own, stars = replace(configuration, spectra=len(known)), batch_of(arrays, known)
        found = predict_few(own, stars, logg[known], batch_of(arrays, unseen), device=device, threads=threads)
        mean[unseen], sigma[unseen] = found[0], np.nan if found[1] is None else found[1]
    told = np.isfinite(sigma[np.isfinite(mean)]).all()
    figures = figures_of_labels(logg[:, None], mean, sigma if told else None, ("logg",))
    return {
        "results": [{"test": "target", "condition": None} | row for row in figures],
        "error_correlation": None,
        "minutes": (time.monotonic() - begun) / 60,
        "minutes_around": 0.0,
    }


def main(arguments=None):
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.realstars",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", required=True)
    chosen = parser.parse_args(arguments)
    arrays = prepare(chosen.data)
    np.savez_compressed(chosen.out, **arrays)
    print(f"{len(arrays['logg'])} stars")


if __name__ == "__main__":
    main()
