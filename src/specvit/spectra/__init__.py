"""Observed light comes in: spectra of any kind, brought to one grid. The only room that knows specutils."""

from specvit.spectra.adapter import adapt
from specvit.spectra.batch import Flag, SpectrumBatch, SpectrumError

__all__ = ["Flag", "SpectrumBatch", "SpectrumError", "adapt"]
