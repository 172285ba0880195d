"""The BOSZ libraries of synthetic spectra, releases of 2017 and 2024, as `SyntheticLibrary`.

What the files hold, and where that is known from:

====================  =======================================  ===============================================
..                    2017                                     2024
====================  =======================================  ===============================================
reference             Bohlin et al. 2017, AJ 153, 234          Mészáros et al. 2024, A&A 688, A197
archive               archive.stsci.edu/prepds/bosz            archive.stsci.edu/hlsp/bosz
file                  FITS binary table, or text (bz2)         text (gz)
columns               Wavelength, SpecificIntensity,           flux, continuum; the wavelengths are in
                      Continuum [1, 2]                         a file of their own [3, 4]
wavelengths           Å, vacuum [5]                            Å, **air** above 2000 Å [4, 6]
surface flux          π × column [2]                           4π × column (Eddington flux H) [3, 7]
sampling              two points per resolution element [8]    as in the file of wavelengths
atmospheres           ATLAS9                                   MARCS (ms spherical, mp plane-parallel) up to
                                                               8000 K, ATLAS9 (ap) from 7500 K [3]
====================  =======================================  ===============================================

Names are explained in `parse_name`. Sources: [1] the archive's page; [2] readers of these
files in webbpsf_ext and in STScI's JWST simulators; [3] the fetcher of slug, which quotes the archive's page;
[4] the reader of albireo, checked against files of August 2026; [5] STScI's own IDL routine boszmodcor, and
[4]; [6] albireo measured line cores, jaxspec's reader says the same; [7] the importer of astroARIADNE, which
recovers published photometry with it; [8] pfsspec's reader. Not verified on files by us: [2] the factor π
(only the shape of spectra matters to a survey) and the format code of the FITS columns (any is read). The
medium is compared with the positions of strong lines whenever these can tell, see `read_bosz`.

BOSZ 2024 was recomputed on 2025-09-25 without new names, to correct hydrogen lines: files of both dates
should not be mixed.
"""

from specvit.stars.bosz.names import BoszName, is_bosz, may_be_bosz, parse_name
from specvit.stars.bosz.reader import read_bosz

__all__ = ["BoszName", "is_bosz", "may_be_bosz", "parse_name", "read_bosz"]
