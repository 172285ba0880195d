"""
Why this answer?
================

Which pixels a network's answer rests on, beside the information that the spectrum holds.
"""

import matplotlib.pyplot as plt

from specvit import LoggEstimator, example_spectrum
from specvit.assess.plots import plot_explanation
from specvit.predictors import explain

found = explain(LoggEstimator(), example_spectrum(19.0), "logg", n_steps=16)
print(f"the attributions add up to {found.difference[0]:+.2f} dex, but for {found.completeness[0]:+.3f}")

# %%
# Integrated gradients; the error that noise makes, as the network propagates it; attention; and the Fisher
# information, all of 4 Å.

plot_explanation(found)
plt.show()
