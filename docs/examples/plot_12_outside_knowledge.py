"""
Outside knowledge
=================

A temperature from photometry, a gravity from a parallax, the metallicity of a cluster: ``given`` conditions
the answer on it, by the joint errors that the network predicts.
"""

import matplotlib.pyplot as plt
import numpy as np

from specvit import LoggEstimator, example_spectrum

spectrum, estimator = example_spectrum(21.0), LoggEstimator()
errors = np.array([20.0, 50.0, 100.0, 200.0, 500.0])
found = [estimator.predict(spectrum, return_std=True, given={"teff": (4700, error)}) for error in errors]
alone, alone_err = (x.value for x in estimator.predict(spectrum, return_std=True))

# %%
# log g of the example against the error of the temperature that is given. Band: nothing given; line: truth.

figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
ax.axhspan(alone - alone_err, alone + alone_err, color="0.88")
ax.axhline(spectrum.meta["truth"]["logg"], color="tab:red", lw=1)
ax.errorbar(errors, [x.value for x, _ in found], [s.value for _, s in found], fmt="o", capsize=3)
ax.set(xscale="log", xlabel="σ of the temperature given [K]", ylabel="log g")
plt.show()
