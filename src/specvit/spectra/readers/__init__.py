"""Files of surveys and instruments, read into `~specutils.Spectrum`; importing this room registers them.

After it (which ``import specvit`` sees to, once specutils is imported), ``Spectrum.read(path)`` and
``SpectrumList.read(path)`` of specutils know these files by their content, without a ``format``.

========  ===============================================  =================================================
Format    Files                                            Read by
========  ===============================================  =================================================
``PFS``   pfsSingle, pfsObject, pfsStar, those of 2019     ``Spectrum.read``, ``SpectrumList.read``
``PFS``   pfsCoadd, pfsCalibrated: many targets            ``SpectrumList.read``; one by
                                                           ``Spectrum.read(path, obj_id=…)``
``PFS``   pfsMerged, pfsArm: all fibres of an exposure     ``SpectrumList.read``; one by
                                                           ``Spectrum.read(path, fiber_id=…)``
========  ===============================================  =================================================
"""

from specvit.spectra.readers.pfs import read_pfs, read_pfs_one
from specvit.spectra.readers.pfsmask import DAMAGE, INFORMATION

__all__ = ["DAMAGE", "INFORMATION", "read_pfs", "read_pfs_one"]
