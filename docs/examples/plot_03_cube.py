"""
A cube
======

Spectra of any number of dimensions: the answer has the spatial shape, with one row of the table a spaxel.
Here the light of one giant fades from the centre of a small cube.
"""

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.nddata import InverseVariance
from specutils import Spectrum

from specvit import PFS_MR, LoggEstimator, Survey

y, x = np.mgrid[:5, :6]
magnitude = 19.0 + 0.45 * np.hypot(y - 2, x - 2.5)
star = [4500.0, 2.0, -0.3, 0.1, 0.0]
seen = Survey("pfs-mr", seed=1).observe(np.tile(star, (30, 1)), magnitude.ravel(), velocity=0.0)
unit = u.Unit("1e-19 erg / (s cm2 Angstrom)")
cube = Spectrum(
    flux=seen.flux.numpy().reshape(5, 6, -1) * unit,
    spectral_axis=PFS_MR.wave * u.AA,
    uncertainty=InverseVariance(seen.ivar.numpy().reshape(5, 6, -1) / unit**2),
    meta={"medium": "vacuum", "resolution": PFS_MR.resolving_power},
)
logg, sigma = LoggEstimator().predict(cube, return_std=True)
print(logg.shape, logg.unit)

# %%
# log g, its error, and their difference from the truth in units of the error.

panels = {
    "log g": (logg.value, "viridis"),
    "σ [dex]": (sigma.value, "magma"),
    "Δ / σ": ((logg.value - star[1]) / sigma.value, "RdBu"),
}
figure, axes = plt.subplots(1, 3, figsize=(8, 2.4), layout="constrained")
for ax, (name, (values, colours)) in zip(axes, panels.items(), strict=True):
    limits = {"vmin": -3, "vmax": 3} if "Δ" in name else {}
    figure.colorbar(ax.imshow(values, cmap=colours, origin="lower", **limits), ax=ax)
    ax.set_title(name)
plt.show()
