"""The one place that decides whether an input is a spectrum, several, a batch of them or an array."""

from __future__ import annotations

import enum
import sys

import numpy as np

from specvit.spectra.batch import SpectrumBatch

__all__ = ["Kind", "kind_of"]


class Kind(enum.Enum):
    """Kinds of input that are accepted as spectra."""

    #: One `specutils.Spectrum` of any number of dimensions.
    SPECTRUM = "spectrum"
    #: A `specutils.SpectrumCollection`.
    COLLECTION = "collection"
    #: A list, a tuple (`specutils.SpectrumList` is a list) or a one-dimensional array of objects, some of
    #: them `specutils.Spectrum`.
    SEQUENCE = "sequence"
    #: A `SpectrumBatch`, on a grid already.
    BATCH = "batch"
    #: Everything else: to be read as an array of numbers.
    ARRAY = "array"


def kind_of(spectra):
    """The `Kind` of `spectra`.

    Parameters
    ----------
    spectra : object
        The input.

    Returns
    -------
    Kind
        `Kind.ARRAY` for anything that is no object of specutils and no `SpectrumBatch`; whether it can be
        read as an array is found when it is.

    Notes
    -----
    Specutils is not imported here: whoever holds a `~specutils.Spectrum` has done so.
    """
    if isinstance(spectra, SpectrumBatch):
        return Kind.BATCH
    specutils = sys.modules.get("specutils")
    spectrum_type = getattr(specutils, "Spectrum", ())
    if isinstance(spectra, spectrum_type):
        return Kind.SPECTRUM
    if isinstance(spectra, getattr(specutils, "SpectrumCollection", ())):
        return Kind.COLLECTION
    # An array of objects is what scikit-learn makes of a list by indexing.
    objects = isinstance(spectra, np.ndarray) and spectra.dtype == object and spectra.ndim == 1
    if (objects or isinstance(spectra, list | tuple)) and any(isinstance(x, spectrum_type) for x in spectra):
        return Kind.SEQUENCE
    return Kind.ARRAY
