"""A survey of which everything is known in closed form, and results to be drawn."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from scipy.stats import norm

from specvit.labels import LABELS
from specvit.survey import SurveyBatch


class LinearGaussian:
    """Spectra linear in two labels of Gaussian prior, with noise of known variance."""

    label_names = ("x", "y")
    device = torch.device("cpu")
    n_pixels = 40

    def __init__(self, noise, prior_sigma=(1.0, 2.0)):
        rng = np.random.default_rng(5)
        self.basis = torch.as_tensor(rng.normal(size=(3, self.n_pixels)))  # constant, x, y
        self.variance = torch.as_tensor(noise**2 * rng.uniform(0.5, 2, self.n_pixels))
        self.prior_sigma = np.array(prior_sigma)
        self.prior = self

    @property
    def covariance(self):
        """Of the posterior of every star, (2, 2): the inverse of information plus prior."""
        slopes = self.basis[1:].numpy()
        return np.linalg.inv((slopes / self.variance.numpy()) @ slopes.T + np.diag(1 / self.prior_sigma**2))

    @property
    def r2(self):
        """R² of the posterior mean, (2,)."""
        return 1 - np.diag(self.covariance) / self.prior_sigma**2

    def posterior_mean(self, flux):
        """The best estimate, linear in the flux: (n, 2)."""
        weighted = (np.asarray(flux) - self.basis[0].numpy()) / self.variance.numpy()
        return (weighted @ self.basis[1:].numpy().T + 3 / self.prior_sigma**2) @ self.covariance

    def from_unit(self, u):
        return 3 + self.prior_sigma * norm.ppf(u)

    def coefficients(self, labels):
        labels = torch.as_tensor(labels)
        return torch.cat([torch.ones_like(labels[:, :1]), labels], 1)

    def draw(self, n, *, stream, device="cpu", magnitude=None):
        rng = np.random.default_rng(stream)
        labels = torch.as_tensor(self.from_unit(rng.random((n, 2))))
        clean = self.coefficients(labels) @ self.basis
        sigma = self.variance.sqrt().expand_as(clean)
        noisy = clean + sigma * torch.as_tensor(rng.normal(size=clean.shape))
        return SurveyBatch(noisy, 1 / sigma**2, labels, torch.zeros(n), clean, sigma)


@pytest.fixture(scope="session")
def linear_gaussian():
    """The class, to be given a noise level."""
    return LinearGaussian


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
