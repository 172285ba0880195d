"""Surveys on disk: written shard by shard in the reference's HDF5 layout, read in constant memory (h5py)."""

from specvit.dataset.dataset import SpectrumDataset, StoredSpectra
from specvit.dataset.diskstream import DatasetStream
from specvit.dataset.writing import write_dataset

__all__ = ["DatasetStream", "SpectrumDataset", "StoredSpectra", "write_dataset"]
