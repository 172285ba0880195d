"""Scaling: accuracy against the number of stored training spectra, for every method."""

from __future__ import annotations

from dataclasses import replace

from studies.configuration import Configuration, seeds
from studies.study import Picture, Study

__all__ = ["LIMIT", "REFERENCE", "STUDY"]

SIZES = (5_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
ONE_SEED_ABOVE = 200_000
RAW_UP_TO = 200_000  # pixels of more spectra take too much memory as features of trees

#: The reference's network as the reference trained it, except for the length: one channel of flux, one label,
#: L1, AdamW at 3e-4, dropout of 0.1.
REFERENCE = Configuration(
    network="reference",
    encoding="median",
    labels=("logg",),
    loss="l1",
    learning_rate=3e-4,
)
NETWORKS = {
    "ViT, reference": REFERENCE,
    "ViT, bundled": Configuration(network="bundled"),
    "MLP": Configuration(method="mlp", learning_rate=3e-4),
    "CNN": Configuration(method="cnn"),
}
#: Posterior means of the very test stars.
LIMIT = Configuration(method="posterior", spectra=None)
COMPONENTS = (("feature_fraction", 0.3), ("n_components", 64))
FITS = {
    "Ridge": Configuration(method="ridge", encoding="median", labels=("logg",)),
    "LightGBM, components": Configuration(method="lightgbm", labels=("logg",), options=COMPONENTS),
    "LightGBM, pixels": Configuration(method="lightgbm", encoding="median", labels=("logg",)),
}


def _sizes(name, configuration):
    sizes = [n for n in SIZES if name != "LightGBM, pixels" or n <= RAW_UP_TO]
    return [
        one
        for n in (*sizes, None)
        if n is not None or configuration.is_network
        for one in seeds(
            [replace(configuration, spectra=n)], 3 if n is not None and n <= ONE_SEED_ABOVE else 1
        )
    ]


STUDY = Study(
    name="scaling",
    title="How many spectra does each method need?",
    question="How does the accuracy of log g grow with the number of stored training spectra, and where does "
    "a transformer overtake boosted trees and linear regression?",
    variants={name: _sizes(name, one) for name, one in (NETWORKS | FITS).items()}
    | {
        "χ² fit": [Configuration(method="template", spectra=None, labels=("logg",), n_test=2000)],
        "Bayes limit": [LIMIT],
    },
    picture=Picture("spectra", "name", log=True, x_label="stored training spectra"),
    columns=("spectra",),
    reference=tuple(
        {"name": name, "spectra": n, "r2": r2}
        for n, *values in (
            (50_000, 0.434, 0.488, 0.442),
            (100_000, 0.596, 0.553, 0.475),
            (200_000, 0.673, 0.547, 0.474),
            (500_000, 0.709, 0.574, 0.490),
            (1_000_000, 0.711, 0.614, 0.50),
        )
        for name, r2 in zip(("ViT, reference", "LightGBM, pixels", "Ridge"), values, strict=True)
    ),
)
