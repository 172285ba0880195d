"""Options and data shared by every test, and a survey of which everything is known in closed form."""

import io
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm

try:
    from pytest_astropy_header.display import PYTEST_HEADER_MODULES, TESTED_VERSIONS
except ImportError:  # the header is a convenience
    PYTEST_HEADER_MODULES, TESTED_VERSIONS = {}, {}


#: Small extracts of larger data: their README says of which, and what made them.
DATA = Path(__file__).parent / "data"


class Screen(io.StringIO):
    """A terminal, and what stands on it in the end."""

    def isatty(self):
        return True

    def lines(self):
        """One str for each, without what was written over."""
        shown = []
        for line in self.getvalue().split("\n"):
            cells = []
            for part in line.split("\r"):
                cells[: len(part)] = part
            shown.append("".join(cells).rstrip())
        return shown


@pytest.fixture
def screen():
    return Screen()


def pytest_addoption(parser):
    parser.addoption("--run-slow", action="store_true", help="also run the tests marked slow")


def pytest_configure(config):
    import specvit

    config.option.astropy_header = True
    PYTEST_HEADER_MODULES.clear()
    for name in ("numpy", "scipy", "torch", "lightning", "astropy", "specutils", "sklearn", "safetensors"):
        PYTEST_HEADER_MODULES[name] = name
    TESTED_VERSIONS["specvit"] = specvit.__version__


def pytest_collection_modifyitems(config, items):
    skipped = {}
    if not config.getoption("--run-slow"):
        skipped["slow"] = pytest.mark.skip(reason="slow: runs with --run-slow")
    if find_spec("triton") is None:
        skipped["kernels"] = pytest.mark.skip(reason="Triton is not installed: runs in tox -e kernels")
    for item in items:
        for marker, skip in skipped.items():
            if marker in item.keywords:
                item.add_marker(skip)


@pytest.fixture
def interpreted():
    """Call that runs a script under Triton's interpreter, which needs no GPU.

    It must be chosen before Triton is imported: the script has a process of its own.
    """

    def run(script):
        environment = os.environ | {"TRITON_INTERPRET": "1"}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]

    return run


@pytest.fixture(scope="session")
def test_data():
    """Folder of the extracts."""
    return DATA


@pytest.fixture(scope="session")
def emulator():
    """The one that ships."""
    from specvit.stars import Emulator

    return Emulator.load()


@pytest.fixture(scope="session")
def library():
    """Spectra of the library that the emulator was fitted on, held out of the fit: every fourth of them."""
    from specvit.stars import read_library

    return read_library(DATA / "library")


@pytest.fixture(scope="session")
def fresh():
    """Function: the words that code prints in a new interpreter."""
    from tests.freshinterpreter import FreshInterpreter

    interpreter = FreshInterpreter()
    yield interpreter
    interpreter.close()


@pytest.fixture
def small_samples(monkeypatch):
    """Networks that learn from a survey scale labels, validate and measure σ on few of its stars."""
    samples = {"SCALING": (100, 2), "VALIDATION_STARS": (64, 64), "CALIBRATION_STARS": (200, 200)}
    for name, sizes in samples.items():
        monkeypatch.setattr(f"specvit.predictors.learning.trainingsources._{name}", sizes)


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
        from specvit.survey import SurveyBatch

        return SurveyBatch(noisy, 1 / sigma**2, labels, torch.zeros(n), clean, sigma)


@pytest.fixture(scope="session")
def linear_gaussian():
    """The class, to be given a noise level."""
    return LinearGaussian
