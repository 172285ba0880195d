"""Results to be drawn."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from specvit.labels import LABELS

MAGNITUDES = [20.0, 21.0, 22.0]


R2 = {
    "ViT": ("predictor", [0.98, 0.96, 0.83]),
    "Ridge": ("predictor", [0.86, 0.82, 0.66]),
    "Bayes limit": ("limit", [0.9926, 0.9657, 0.8365]),
    "1 - CRLB/Var (mean)": ("limit", [0.99, 0.95, -np.inf]),
}


@pytest.fixture
def ax():
    """Axes outside pyplot: there is nothing to close."""
    return Figure().subplots()


@pytest.fixture
def table():
    rows = []
    for name, (kind, values) in R2.items():
        common = {"predictor": name, "kind": kind, "label": "logg", "r2_err": 0.01, "n": 100, "unusable": 0}
        for magnitude, snr, r2 in zip(MAGNITUDES, (24.0, 10.8, 4.4), values, strict=True):
            bins = {"low": magnitude, "high": magnitude, "centre": magnitude, "snr": snr, "r2": r2}
            rows.append(common | bins | {"by": "magnitude"})
            if name == "ViT":
                rows.append(common | bins | {"by": "snr", "centre": 1.1 * snr, "r2": r2 - 0.01})
        overall = {"low": np.nan, "high": np.nan, "centre": np.nan, "snr": 10.0, "by": "overall"}
        rows.append(common | overall | {"r2": np.mean(values)})
    return pd.DataFrame(rows).sample(frac=1, random_state=0)  # in no order


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    n = 600
    truth = {name: rng.uniform(0, 1, n) for name in LABELS} | {"logg": rng.uniform(1, 5, n)}
    frames = []
    for name, scale in (("honest", 1.0), ("overconfident", 0.4)):
        sigma = rng.uniform(0.1, 0.4, n)
        prediction = truth["logg"] + sigma * rng.standard_normal(n)
        columns = {"star": np.arange(n), "magnitude": rng.choice(MAGNITUDES, n), "snr": 10.0}
        columns |= {"truth": truth["logg"], "prediction": prediction, "sigma": scale * sigma}
        frames.append(pd.DataFrame({"predictor": name, "label": "logg"} | columns | truth))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def lines():
    """Curves of Axes by their names in the legend: function to dict of str to (n, 2)."""

    def lines(ax):
        """Curves by their names in the legend: dict of str to (n, 2)."""
        found = {line.get_label(): line.get_xydata() for line in ax.get_lines()}
        return found | {bars.get_label(): bars.lines[0].get_xydata() for bars in ax.containers}

    return lines
