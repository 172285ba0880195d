"""Tokens: how a spectrum is cut into windows and mapped to vectors."""

from __future__ import annotations

from studies.configuration import Configuration
from studies.scaling import REFERENCE
from studies.study import Picture, Study

__all__ = ["CAUSES", "STUDY"]


def _tokens(tokenizer, patch, overlap=False, **changes):
    stride = patch // 2 if overlap else None
    shape = {"tokenizer": tokenizer, "patch_size": patch, "stride": stride} | changes
    return Configuration(changes=tuple(shape.items()))


GRID = (
    {
        f"{tokenizer} {patch}": _tokens(tokenizer, patch)
        for tokenizer in ("conv1d", "local")
        for patch in (8, 16, 32, 64)
    }
    | {f"sliding window {patch}": _tokens("sliding_window", patch) for patch in (16, 32)}
    | {f"conv1d {patch}, overlap 50 %": _tokens("conv1d", patch, True) for patch in (16, 32, 64)}
    | {f"local {patch}, overlap 50 %": _tokens("local", patch, True) for patch in (32, 64)}
    | {f"conv1d {patch}, normalised": _tokens("conv1d", patch, chunk_norm=True) for patch in (16, 32)}
    | {"local 32, normalised": _tokens("local", 32, chunk_norm=True)}
)


def _cause(tokenizer, initialisation, overlap=False, **options):
    changes = {"tokenizer": tokenizer} | ({"stride": 8} if overlap else {})
    values = {
        "network": "reference",
        "changes": tuple(changes.items()),
        "initialisation": initialisation,
    }
    values |= {name: getattr(REFERENCE, name) for name in ("encoding", "labels", "loss", "learning_rate")}
    return Configuration(**values | {"steps": 1500, "batch_size": 256} | options)


def _sweep(tokenizer, initialisation, **options):
    # Fifty rounds of 50,000 stars, as its failed runs were to have; they ended in the tenth to thirteenth.
    own = {"loss": "mse", "warmup": 0.0, "spectra": 50_000, "steps": 9766, "precision": "16-mixed"}
    return _cause(tokenizer, initialisation, **own | options)


#: Candidate causes of the reference's failed runs. Its framework draws matrices of linear layers from a
#: normal distribution of σ = 0.02 and leaves those of one-dimensional convolutions as torch makes them, and
#: its class token and positions, which are its own, are drawn with σ = 1.
CAUSES = {
    "conv1d as the reference's": _cause("conv1d", "tokenizer"),
    "sliding window as the reference's": _cause("sliding_window", "normal"),
    "sliding window, initialised as conv1d": _cause("sliding_window", "tokenizer"),
    "conv1d, initialised as sliding window": _cause("conv1d", "normal"),
    "sliding window as the reference's, fp16": _cause("sliding_window", "normal", precision="16-mixed"),
    "conv1d as the reference's, fp16": _cause("conv1d", "tokenizer", precision="16-mixed"),
    "sliding window as the reference's, unscaled": _cause("sliding_window", "normal", encoding="none"),
    "conv1d as the reference's, unscaled": _cause("conv1d", "tokenizer", encoding="none"),
    "conv1d as the reference's, larger positions": _cause("conv1d", "tokenizer, positions"),
    "conv1d as the reference's, no warm-up, fp16": _cause(
        "conv1d", "tokenizer", precision="16-mixed", warmup=0.0
    ),
    "sliding window as the reference's, no warm-up, fp16": _cause(
        "sliding_window", "normal", precision="16-mixed", warmup=0.0
    ),
    "sliding window as the reference's, overlap, fp16": _cause(
        "sliding_window", "normal", overlap=True, precision="16-mixed"
    ),
    "conv1d as the reference's, 6,000 steps": _cause("conv1d", "tokenizer", steps=6000),
    "sliding window as the reference's, 6,000 steps": _cause("sliding_window", "normal", steps=6000),
    "sliding window, the reference's positions": _cause("sliding_window", "unit positions"),
    "conv1d, the reference's positions": _cause("conv1d", "tokenizer, unit positions"),
    "sliding window, the reference's whole training": _sweep("sliding_window", "unit positions"),
    "conv1d, the reference's whole training": _sweep("conv1d", "tokenizer, unit positions"),
    "sliding window, the reference's whole training, small positions": _sweep("sliding_window", "normal"),
    "conv1d, the reference's whole training, small positions": _sweep("conv1d", "tokenizer"),
}

STUDY = Study(
    name="tokens",
    title="How should a spectrum be cut into tokens?",
    question="Which tokenizer, patch size and overlap are best, does it help to normalise each window, and "
    "why did all the reference's sliding-window runs fail?",
    variants=Study.grid(GRID) | Study.grid(CAUSES),
    picture=Picture("name", panels=(tuple(GRID), tuple(CAUSES))),
    columns=(
        "tokenizer",
        "patch_size",
        "stride",
        "chunk_norm",
        "initialisation",
        "precision",
        "first_gradient_norm",
    ),
    reference=(
        {"name": "conv1d 16", "r2": 0.582, "r2_err": 0.045},
        {"name": "conv1d 32", "r2": 0.473, "r2_err": 0.128},
        {"name": "conv1d 64", "r2": 0.534},
        {"name": "conv1d as the reference's", "first_gradient_norm": 5.6},
        {"name": "sliding window as the reference's", "first_gradient_norm": 11.5},
    ),
)
