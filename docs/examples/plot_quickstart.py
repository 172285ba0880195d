"""
Quick start
===========

A spectrum in, log g with its error out. The weights come with the package, and so does the example: a
simulated star as the Prime Focus Spectrograph's medium-resolution red arm would see it.
"""

import matplotlib.pyplot as plt

from specvit import LoggEstimator, example_spectrum

spectrum = example_spectrum()
print(spectrum.spectral_axis[[0, -1]], spectrum.flux.unit)

# %%
# One call gives log g, a quantity in dex(cm/s²), and its standard deviation.

estimator = LoggEstimator()
logg, sigma = estimator.predict(spectrum, return_std=True)
print(f"log g = {logg.value:.2f} ± {sigma.value:.2f}")

# %%
# `~specvit.LoggEstimator.predict_table` gives all labels, the signal-to-noise ratio, the share of the grid
# that held information, and flags (see :doc:`/input`). It takes lists of spectra too; rows keep their order.

table = estimator.predict_table(spectrum)
table.pprint(max_width=-1)

# %%
# The spectrum, with what the network says of it and the truth that it was simulated with.

figure, axes = plt.subplots(figsize=(9, 3.5), layout="constrained")
axes.step(spectrum.spectral_axis.value, spectrum.flux.value, where="mid", lw=0.5, color="0.3")
axes.set_xlabel(f"wavelength [{spectrum.spectral_axis.unit:unicode}]")
axes.set_ylabel("flux")
axes.set_title(f"log g = {logg.value:.2f} ± {sigma.value:.2f}")
axes.margins(x=0)
plt.show()
