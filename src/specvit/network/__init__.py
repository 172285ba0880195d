"""The model: a Vision Transformer for one-dimensional spectra, and its training (torch only).

Lightning is imported by `train` when it is called, never before.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["inputs", "losses", "positions", "tokenizers", "training"],
    submod_attrs={
        "inputs": ["encode", "median_snr"],
        "regressor": ["LabelRegressor"],
        "training": ["TrainingConfig", "train"],
        "vit": ["SpectrumViT", "ViTConfig"],
    },
)
