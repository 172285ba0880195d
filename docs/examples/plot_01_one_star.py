"""
One star
========

A spectrum in, log g with its error out, and a look at what was fitted. The weights come with the package, and
so does the example: a simulated K giant as the medium-resolution red arm of PFS would see it.
"""

import matplotlib.pyplot as plt

from specvit import LoggEstimator, example_spectrum
from specvit.assess.plots import plot_fit
from specvit.predictors import fitted_spectrum

spectrum = example_spectrum()
estimator = LoggEstimator()
logg, sigma = estimator.predict(spectrum, return_std=True)
print(f"log g = {logg.value:.2f} ± {sigma.value:.2f}, simulated with {spectrum.meta['truth']['logg']:.2f}")

# %%
# The spectrum, that of the predicted labels on the same axis, and what is left in units of σ. Blue: bands of
# the Earth's atmosphere. Below: lines that tell gravity.

fit = fitted_spectrum(spectrum, estimator)
plot_fit(fit)
plt.show()

# %%
# The model is a `~specutils.Spectrum` of its own.

print(fit)
print(fit.model.flux[:3])

# %%
# A table has all labels, the signal-to-noise ratio, the velocity, and flags (see :doc:`/input`).

table = estimator.predict_table(spectrum)
for first in range(0, len(table.colnames), 6):
    table[table.colnames[first : first + 6]].pprint(max_width=-1)
    print()
