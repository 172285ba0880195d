"""
The limit of your star
======================

How well can log g of a K giant be known at S/N 50 with your spectrograph, whatever the method? The Fisher
information says it (see :doc:`/limits`), and where in the spectrum it lies.
"""

import matplotlib.pyplot as plt

from specvit import PixelGrid
from specvit.assess.plots import plot_star_limit
from specvit.limits import star_limit

giant = {"teff": 4500, "logg": 2.0, "mh": -0.3}
mine = PixelGrid.from_resolving_power(8400, 8800, 4000, name="mine")
limit = star_limit(giant, snr=50, grid=mine)
print(limit)

# %%
# With a temperature known to 50 K from photometry.

print(star_limit(giant, snr=50, grid=mine, given={"teff": 50}))

# %%
# The wavelengths that carry it.

plot_star_limit(limit)
plt.show()
