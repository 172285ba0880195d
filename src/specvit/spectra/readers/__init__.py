"""Files of surveys and instruments, read into `~specutils.Spectrum`; importing this room registers them.

After it (which ``import specvit`` sees to, once specutils is imported), ``Spectrum.read(path)`` and
``SpectrumList.read(path)`` of specutils know these files by their content, without a ``format``.

==================  ==================================================================  ===========
Format              Files                                                               Module
==================  ==================================================================  ===========
``PFS``             pfsSingle, pfsObject, pfsStar, pfsCoadd, pfsCalibrated, pfsMerged   pfs
``SDSS spec``       SDSS, BOSS, eBOSS: spec, spec-lite                                  sdss
``SDSS spSpec``     SDSS-I/II                                                           sdss
``SDSS plate``      spPlate: all fibres of a plate                                      sdss
``LAMOST image``    DR1–DR7                                                             lamost
``LAMOST table``    DR8–DR10, low and medium resolution                                 lamost
``DESI``            coadd and spectra files                                             desi
``MaStar``          goodspec, combspec                                                  mastar
``Gaia RVS``        tables of datalink and of the bulk download                         gaiarvs
``PypeIt coadd1d``  OneSpec                                                             pypeit
``PypeIt spec1d``   objects, orders                                                     pypeit
``WEAVE L1``        fibres of an arm                                                    weave
``ESO phase 3``     X-shooter, UVES, FEROS …, 4MOST L1                                  fitstable
``CALSPEC``         standards of HST                                                    fitstable
``GALAH arm``       DR2, DR3                                                            galah
``MUSE``            cubes and spectra, MPDAF, PampelMuse                                fitsimage
``RAVE``            DR4–DR6                                                             fitsimage
``IRAF spectrum``   1-D with DC-FLAG, equispec, multispec, 3-D                          iraf
``FITS table``      any with known names of columns                                     fitstable
``FITS image``      any with wavelengths in its header or an HDU                        fitsimage
``FITS rows``       an image of rows of wavelength, flux, error                         fitsimage
``NumPy archive``   arrays of known names, numbered for several spectra                 npzfile
``HDF5``            groups of arrays of known names, tables of astropy                  hdf5file
``Parquet``         tables of known names, lists in rows for several spectra            parquetfile
``text``            text, CSV, ECSV, VOTable                                            textfile
==================  ==================================================================  ===========
"""

from specvit.spectra.readers.anyfile import cube_rows, read, reader_names, register_all
from specvit.spectra.readers.pfs import read_pfs, read_pfs_one
from specvit.spectra.readers.pfsmask import DAMAGE, INFORMATION

__all__ = ["DAMAGE", "INFORMATION", "cube_rows", "read", "read_pfs", "read_pfs_one", "reader_names"]

register_all()
