"""
Many stars
==========

A list of 200 spectra to a table, to a FITS file and back. Here they are simulated, so that the truth is
known.
"""

import tempfile
from pathlib import Path

import astropy.units as u
import matplotlib.pyplot as plt
from astropy.nddata import InverseVariance
from specutils import Spectrum, SpectrumList

from specvit import PFS_MR, LoggEstimator, Survey
from specvit.predictors import read_table, write_table

stars = Survey("pfs-mr", seed=3).draw(200, magnitude=20.0)
unit = u.Unit("1e-19 erg / (s cm2 Angstrom)")
meta = {"medium": "vacuum", "resolution": PFS_MR.resolving_power}
spectra = SpectrumList(
    Spectrum(
        flux=flux * unit,
        spectral_axis=PFS_MR.wave * u.AA,
        uncertainty=InverseVariance(ivar / unit**2),
        meta=meta | {"object": f"star {i}"},
    )
    for i, (flux, ivar) in enumerate(zip(stars.flux.numpy(), stars.ivar.numpy(), strict=True))
)

# %%
# One call for all: rows keep their order, and a spectrum without an answer has a row that says why.

table = LoggEstimator().predict_table(spectra)
table["name", "teff", "logg", "logg_err", "mh", "snr", "velocity", "flags"][:5].pprint(max_width=-1)

# %%
# To a file and back, units included.

path = Path(tempfile.mkdtemp()) / "labels.fits"
write_table(table, path)
again = read_table(path)
print(len(again), again["logg"].unit, again["teff"].unit)

# %%
# Against the truth, with the errors that were predicted.

truth, logg = stars.labels[:, 1].numpy(), again["logg"].value
figure, axes = plt.subplots(figsize=(4.5, 4), layout="constrained")
axes.errorbar(truth, logg, again["logg_err"].value, fmt="none", ecolor="0.7", elinewidth=0.8)
axes.scatter(truth, logg, s=12, zorder=3)
axes.axline((2, 2), slope=1, color="0.4", lw=0.8)
axes.set(xlabel="log g of the simulation", ylabel="log g predicted", aspect="equal")
plt.show()
