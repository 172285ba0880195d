"""
The triplet only
================

What remains when a spectrum ends with the calcium triplet, 8480–8690 Å, as those of Gaia and RAVE do: the
network knows what it does not see, and its error grows.
"""

import matplotlib.pyplot as plt

from specvit import LoggEstimator, example_spectrum
from specvit.assess.plots import plot_fit
from specvit.predictors import fitted_spectrum

spectrum = example_spectrum(19.5)
estimator = LoggEstimator()
ends = [(7100, 8480), (8690, 8850)]
for name, mask in {"7100–8850 Å": None, "8480–8690 Å": ends}.items():
    logg, sigma = estimator.predict(spectrum, return_std=True, mask=mask)
    print(f"{name}: log g = {logg.value:.2f} ± {sigma.value:.2f}")

# %%
# The pixels that were not used are grey; the model is shown there all the same.

plot_fit(fitted_spectrum(spectrum, estimator, mask=ends))
plt.show()
