"""
Against LightGBM
================

Any methods on identical stars and noise, with errors: ``evaluate``. The trees of this page learned from 1,000
spectra only; :doc:`/results` has them with 60,000, and the limits.
"""

import matplotlib.pyplot as plt

from specvit import LoggEstimator, Survey
from specvit.assess import evaluate
from specvit.assess.plots import plot_r2
from specvit.predictors import LightGBMEstimator, RidgeEstimator

learned_from = Survey("paper", n=1000, seed=101)
methods = {
    "ViT": LoggEstimator(weights="paper"),
    "LightGBM": LightGBMEstimator(n_trees=60, n_jobs=1).fit(learned_from),
    "Ridge": RidgeEstimator(labels="logg").fit(learned_from),
}
table = evaluate(methods, Survey("paper", seed=102), n=120, magnitudes=[20, 21, 22], limits=False)
print(table.query("by == 'overall'")[["predictor", "r2", "r2_err", "mae", "coverage68"]].round(3).to_string())

# %%
# R² against magnitude; error bars are those of the bootstrap.

plot_r2(table)
plt.show()
