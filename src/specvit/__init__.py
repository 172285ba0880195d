"""Surface gravities and abundances of cool stars from optical spectra.

The public names are loaded when first used, so that `specvit.survey` and
`specvit.network` work on a machine that has neither astropy nor specutils.
"""

from importlib import metadata

import lazy_loader

from specvit.registration import register_readers

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "assess",
        "dataset",
        "grid",
        "labels",
        "limits",
        "network",
        "predictors",
        "spectra",
        "stars",
        "stream",
        "survey",
        "weights",
    ],
    submod_attrs={
        "predictors": ["LoggEstimator"],
        "example": ["example_spectrum"],
        "grid": ["PFS_MR", "PixelGrid"],
        "spectra": ["SpectrumBatch"],
        "stars": ["Emulator"],
        "stream": ["predict_stream"],
        "survey": ["Survey"],
    },
)

try:
    __version__ = metadata.version("specvit")
except metadata.PackageNotFoundError:  # imported from a source tree, as on a bare GPU machine
    __version__ = "0+unknown"

register_readers()
