"""Predictions written in the forms that pipelines of instruments read."""

from specvit.spectra.writers.pfsstar import write_pfs_star
from specvit.spectra.writers.pfsstarcatalog import write_pfs_star_catalog

__all__ = ["write_pfs_star", "write_pfs_star_catalog"]
