"""
A star that moves
=================

Spectra are taken to be at rest to ±20 km/s. One that is not raises an alarm; ``velocity="fit"`` measures the
velocity, removes it and predicts again.
"""

import matplotlib.pyplot as plt
from specutils import Spectrum

from specvit import LoggEstimator, example_spectrum
from specvit.assess.plots import plot_fit
from specvit.predictors import fitted_spectrum
from specvit.spectra import Flag

rest = example_spectrum(19.5)
moving = Spectrum(
    flux=rest.flux,
    spectral_axis=rest.spectral_axis * (1 + 120 / 299792.458),
    uncertainty=rest.uncertainty,
    meta=rest.meta,
)
estimator = LoggEstimator()
for velocity in (None, "fit"):
    row = estimator.predict_table(moving, velocity=velocity)[0]
    words = "; ".join(Flag.in_words(row["flags"])) or "no flags"
    print(
        f"log g = {row['logg'].value:.2f} ± {row['logg_err'].value:.2f}, v = {row['velocity']:.1f}, {words}"
    )

# %%
# The fit, on the axis of the moving star.

plot_fit(fitted_spectrum(moving, estimator, velocity="fit"))
plt.show()
