"""Files of surveys and instruments, read into `~specutils.Spectrum`: importing this room registers its readers.

After ``import specvit.spectra.readers``, ``Spectrum.read(path)`` and ``SpectrumList.read(path)`` of specutils
know these files by their content, without a ``format``; the command line does so by itself.

================  ============================================  ==============================================
Format            Files                                         Reading
================  ============================================  ==============================================
``PFS target``    pfsSingle, pfsObject, pfsStar, and the files  ``Spectrum.read``, ``SpectrumList.read``
                  of 2019
``PFS bundle``    pfsCoadd, pfsCalibrated                       ``SpectrumList.read``; one target by
                                                                ``Spectrum.read(path, obj_id=…)``
``PFS fibres``    pfsMerged, pfsArm                             ``SpectrumList.read``; one fibre by
                                                                ``Spectrum.read(path, fiber_id=…)``
================  ============================================  ==============================================
"""

from specvit.spectra.readers.pfs import read_pfs, read_pfs_one
from specvit.spectra.readers.pfsmask import DAMAGE, INFORMATION

__all__ = ["DAMAGE", "INFORMATION", "read_pfs", "read_pfs_one"]
