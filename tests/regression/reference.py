"""Numbers that a change of structure must not move: predictions, limits and draws.

usage: python tests/regression/reference.py --write     keep the numbers of the code as it is
       python tests/regression/reference.py --check     compare, bit by bit where one machine allows it

The numbers in ``reference.npz`` were written before the rooms were put in order (see CHANGELOG.md); a
change that moves them on purpose writes them anew and says why there. ``test_same_answers.py`` compares
them in every run.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import torch

FILE = Path(__file__).with_name("reference.npz")
LABELS = ("teff", "logg", "mh", "alpham", "cm")
N_SPECTRA = 1000
WEIGHTS = ("paper",)
#: Streams written out: the limits' stars must stay the same whatever stream is the default.
LIMIT_STREAM = 2**42


def fixed_spectra():
    """Flux and inverse variance, float64 (1000, 4096): emulated in float64, noise by NumPy, pixels masked."""
    from specvit import Emulator

    rng = np.random.default_rng(20261125)
    emulator = Emulator.load().double()
    low, high = emulator.label_range.numpy()
    low, high = np.maximum(low, [3700, 0.5, -2.4, -0.15, -0.6]), np.minimum(high, [6400, 5.2, 0.4, 0.5, 0.4])
    labels = low + (high - low) * rng.random((N_SPECTRA, 5))
    labels[:, 4] = np.minimum(labels[:, 4], labels[:, 3] + 0.15)
    with torch.no_grad():
        flux = emulator(torch.as_tensor(labels)).numpy()
    flux = flux / np.median(flux, axis=1, keepdims=True)
    snr = 10 ** rng.uniform(0.3, 2.2, (N_SPECTRA, 1))
    sigma = np.broadcast_to(1 / snr, flux.shape)
    flux = flux + sigma * rng.standard_normal(flux.shape)
    ivar = np.where(rng.random(flux.shape) < 0.01, 0.0, sigma**-2.0)
    return flux, ivar


def predictions(flux, ivar, n_exact=100):
    """Labels and σ of both bundled weights by the estimator, of the first `n_exact` in float64 too."""
    from specvit import LoggEstimator
    from specvit.weights import load_weights

    found = {}
    for name in WEIGHTS:
        table = LoggEstimator(name, device="cpu", precision="32-true").predict_table(flux, ivar=ivar)
        for what, ending in (("mean", ""), ("sigma", "_err")):
            columns = [table[f"{label}{ending}"].value for label in LABELS]
            found[f"{name}/{what}"] = np.stack(columns, 1)
        regressor = load_weights(name)[0].double()
        exact = regressor.predict(*map(torch.as_tensor, (flux[:n_exact], ivar[:n_exact])))
        found[f"{name}/exact"] = np.stack([x.numpy() for x in exact])
        found[f"{name}/scale"] = regressor.label_scale.numpy()
    return found


def limits():
    """Fisher information, van Trees bounds and Bayes limit of the survey `paper`."""
    from specvit import Survey
    from specvit.limits import bayes_limit, survey_fisher, van_trees_survey

    survey = Survey("paper", seed=1)
    labels = survey.prior.sample(12, np.random.default_rng(3))
    magnitude = np.linspace(20, 22.5, 12)
    bayes = bayes_limit(survey, 21.5, 40, stream=LIMIT_STREAM, n_prior=2048)
    return {
        "fisher": survey_fisher(survey, labels, magnitude).matrix,
        "fisher_nuisance": survey_fisher(survey, labels[:4], 21.0, continuum=2, velocity=True).matrix,
        "van_trees": van_trees_survey(survey, 21.5, 60),
        "bayes_r2": bayes.r2,
        "bayes_mean": bayes.posterior.mean,
        "bayes_sigma": bayes.posterior.sigma,
    }


def draws():
    """Every 64th pixel of some spectra of the named surveys, and digests of all pixels."""
    from specvit import Survey

    found = {}
    for name in ("paper", "pfs-mr"):
        batch = Survey(name, seed=4).draw(16, stream=5)
        for what in ("flux", "ivar", "noiseless", "noiseless_sigma", "labels", "magnitude"):
            values = getattr(batch, what).numpy()
            found[f"draw/{name}/{what}"] = (
                values[:, ::64] if values.ndim == 2 and len(values.T) > 5 else values
            )
            digest = hashlib.sha256(values.tobytes()).hexdigest()
            found[f"digest/{name}/{what}"] = np.array(digest)
    return found


def kernels():
    """What this machine's float32 products round to, by how many threads: only equal ones can be compared."""
    rng = np.random.default_rng(0)
    a, b = (
        torch.as_tensor(rng.standard_normal(shape, dtype=np.float32)) for shape in ((64, 192), (192, 4096))
    )
    product = hashlib.sha256((torch.nn.functional.silu(a) @ b).numpy().tobytes()).hexdigest()
    return {"kernels": np.array(f"{product}, {torch.get_num_threads()} threads")}


def current():
    """All numbers of the code as it is: dict of str to ndarray."""
    return kernels() | predictions(*fixed_spectra()) | limits() | draws()


def differences(found, kept):
    """Largest difference of each entry, relative to its scale; True or False for digests."""
    result = {}
    for name, value in found.items():
        expected = kept[name]
        if expected.dtype.kind == "U":
            result[name] = str(value) == str(expected)
            continue
        scale = np.abs(expected)
        if "/" in name and name.split("/")[0] in WEIGHTS:
            scale = kept[f"{name.split('/')[0]}/scale"]
        elif name.startswith("fisher"):  # elements near zero: in units of the diagonal
            root = np.sqrt(np.diagonal(expected, axis1=1, axis2=2))
            scale = root[:, :, None] * root[:, None, :]
        elif name == "bayes_mean":
            scale = kept["bayes_sigma"]
        elif name.startswith("draw"):
            scale = np.maximum(scale, np.median(scale))
        result[name] = float(np.max(np.abs(value - expected) / np.where(scale > 0, scale, 1)))
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true")
    action.add_argument("--check", action="store_true")
    if parser.parse_args().write:
        np.savez_compressed(FILE, **current())
    else:
        with np.load(FILE) as archive:
            kept = {name: archive[name] for name in archive.files}
        for name, value in differences(current(), kept).items():
            print(f"{name:<36}{value if isinstance(value, bool) else f'{value:.2e}'}")
