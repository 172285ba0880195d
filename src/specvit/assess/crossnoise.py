"""How well predictors trained at one level of noise do at another."""

from __future__ import annotations

from specvit.assess.bins import import_pandas
from specvit.assess.evaluation import evaluate

__all__ = ["cross_noise_matrix"]


def cross_noise_matrix(trainer, data_at, levels, *, test_levels=None, label="logg", n=4000, **options):
    """How predictors trained at one level of noise do at another.

    Parameters
    ----------
    trainer : callable or dict
        Takes a level and returns a predictor trained at it (called once for each); or the predictors by
        level.
    data_at : callable
        Takes a level and returns the survey or data set to test on, such as
        ``lambda m: Survey("paper", magnitude=m)`` or ``lambda a: dataset.frozen(1000, noise_level=a)``. With
        the same seed these are the same stars.
    levels : sequence of float
        Levels of training: magnitudes, factors on the noise, or anything else that `data_at` takes.
    test_levels : sequence of float, optional
        Levels of testing; by default `levels`.
    label : str
        Name of the label that is compared.
    n : int
        Spectra at each test level.
    **options
        Arguments of `evaluate`: `seed`, `bootstrap`, `device`, `batch_size`.

    Returns
    -------
    pandas.DataFrame
        A row for each pair: ``trained``, ``tested``, ``label``, ``snr``, ``n``, ``unusable``, the figures;
        ``table.pivot(index="trained", columns="tested", values="r2")`` is the matrix.

    Raises
    ------
    ImportError, TypeError, ValueError
        As `evaluate` does; also if there are no levels.

    Examples
    --------
    One network for two levels of noise, where a study trains one at each:

    >>> from specvit import LoggEstimator, Survey
    >>> vit = LoggEstimator(weights="paper")
    >>> by_level, data_at = {20: vit, 22: vit}, lambda level: Survey("paper", magnitude=level)
    >>> table = cross_noise_matrix(by_level, data_at, [20, 22], n=20, bootstrap=0)
    >>> table[["trained", "tested"]].to_numpy().tolist()
    [[20, 20], [20, 22], [22, 20], [22, 22]]
    """
    pd = import_pandas()
    levels = list(levels)
    test_levels = levels if test_levels is None else list(test_levels)
    if not levels or not test_levels:
        raise ValueError("levels must be at least one")
    predictors = {str(i): trainer(x) if callable(trainer) else trainer[x] for i, x in enumerate(levels)}
    frames = []
    for tested in test_levels:
        table = evaluate(predictors, data_at(tested), n=n, labels=(label,), limits=False, **options)
        table = table[table["by"] == "overall"]
        table.insert(0, "trained", [levels[int(i)] for i in table["predictor"]])
        table.insert(1, "tested", tested)
        frames.append(table)
    result = pd.concat(frames, ignore_index=True)
    dropped = ["predictor", "kind", "by", "low", "high", "centre"]
    result = result.drop(columns=dropped).sort_values(["trained", "tested"], ignore_index=True)
    result.attrs = {key: frames[0].attrs[key] for key in ("definitions", "seed", "specvit")}
    return result
