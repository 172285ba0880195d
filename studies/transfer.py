"""Transfer: a few stars of another library or instrument, learned by networks that know others already."""

from __future__ import annotations

from studies.configuration import Configuration, seeds
from studies.study import Picture, Study

__all__ = ["INSTRUMENT", "LEAVES", "LINES", "few_ways"]

STARS = (30, 100, 300, 1000)
FEW = {"batch_size": 32, "n_test": 2000, "tests": ()}
#: Leaves that few stars can fill; and fewer components than stars.
LEAVES = (("min_child_samples", 5),)
TREES = (*LEAVES, ("n_components", 16))


def few_ways(target, sizes):
    """Ways to learn from a few stars of a `target`: dict of name to configurations.

    `sizes` makes the configurations of a way, one for each number of stars and seed, from its options.
    """
    common = FEW | {"target": target}
    bundled = common | {"network": "bundled", "steps": 300, "learning_rate": 5e-5}
    ways = {}
    for weights in ("paper", "any"):
        own = bundled | {"weights": weights}
        ways[f"{weights}, as it is"] = [Configuration(method="finetune", spectra=None, **own)]
        ways[f"{weights}, fine-tuned"] = sizes(method="finetune", **own)
        ways[f"{weights}, frozen, linear head"] = sizes(method="head", **own)
    ways["ViT from scratch"] = sizes(method="finetune", steps=1000, learning_rate=5e-4, **common)
    ways["LightGBM, pixels"] = sizes(method="lightgbm", encoding="median", options=LEAVES, **common)
    ways["LightGBM, components"] = sizes(method="lightgbm", options=TREES, **common)
    return ways


def _sizes(**options):
    return seeds([Configuration(spectra=n, **options) for n in STARS], 3)


def _study(target, title, question):
    return Study(
        name=f"transfer_{target}",
        title=title,
        question=question,
        variants=few_ways(target, _sizes),
        picture=Picture("spectra", "name", test="target", log=True, x_label="stars that are learned from"),
        columns=("spectra",),
    )


LINES = _study(
    "lines",
    "How many stars of another library does a network need?",
    "The lines of another library are wrong in other ways. What do 30 to 1,000 of its stars gain a network "
    "that knows ours, against training from scratch, boosted trees, and a linear fit on the frozen network?",
)
INSTRUMENT = _study(
    "instrument",
    "How many stars of another instrument does a network need?",
    "Another instrument has other resolution, noise and calibration. What do 30 to 1,000 of its stars gain a "
    "network that knows PFS, against training from scratch, boosted trees, and a linear fit on the frozen "
    "network?",
)
