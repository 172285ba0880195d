"""
Quick start
===========

A spectrum in, log g with its error out. The weights come with the package, and so does the example: a
simulated star as the Prime Focus Spectrograph's medium-resolution red arm would see it.
"""

import matplotlib.pyplot as plt
import numpy as np

from specvit import LoggEstimator, example_spectrum

spectrum = example_spectrum()
print(spectrum.spectral_axis[[0, -1]], spectrum.flux.unit)

# %%
# One call gives log g, a quantity in dex(cm/s²), and its standard deviation.

estimator = LoggEstimator()
logg, sigma = estimator.predict(spectrum, return_std=True)
print(f"log g = {logg.value:.2f} ± {sigma.value:.2f}")

# %%
# `~specvit.predictors.Predictor.predict_table` gives all labels, the signal-to-noise ratio, the share of
# the grid that held information, how well a synthetic star of these labels fits, and flags (see
# :doc:`/input`). It takes lists of spectra too; rows keep their order.

table = estimator.predict_table(spectrum)
table.round(2)
table.pprint(max_width=-1)

# %%
# The spectrum with its 1 σ error, what the network says of it, and the log g that it was simulated with.

wave, flux = spectrum.spectral_axis, spectrum.flux
figure, axes = plt.subplots(figsize=(9, 3.5), layout="constrained")
axes.step(wave.value, flux.value, where="mid", lw=0.5, color="0.2", label="flux")
axes.plot(wave.value, spectrum.uncertainty.array, lw=0.5, color="tab:red", label="1 σ error")
axes.set_xlabel(f"wavelength in vacuum [{wave.unit:unicode}]")
axes.set_ylabel(f"flux [{flux.unit:unicode}]")
axes.set_title(
    f"log g = {logg.value:.2f} ± {sigma.value:.2f}, simulated with {spectrum.meta['truth']['logg']:.2f}"
)
axes.set_ylim(0, 2 * np.median(flux.value))
axes.margins(x=0)
axes.legend(loc="upper left")
plt.show()
