"""
Another spectrograph
====================

A survey for the spectrograph you have, and an estimator trained on it: 7100–8850 Å at R = 2,500, two and a
half pixels to the width of a line, a S/N between 20 and 200, and no use of the wavelengths where the
atmosphere absorbs.
"""

import matplotlib.pyplot as plt
import numpy as np

from specvit import Emulator, LoggEstimator, PixelGrid, Survey
from specvit.stars import regrid_emulator
from specvit.survey import LabelPrior, SNRNoise
from specvit.survey.streams import EVALUATION

# %%
# A `~specvit.grid.PixelGrid` says where the pixels are and how wide a line is recorded: here by the resolving
# power, in `~specvit.grid.PixelGrid.linear` by a width that is the same everywhere. The emulator that ships
# with the package has a higher resolution than that, so its spectra can be smoothed to this one. (For a
# sharper instrument, fit one to a library: `~specvit.stars.Emulator.fit`.)

grid = PixelGrid.from_resolving_power(7100, 8850, 2500, name="low resolution")
emulator = regrid_emulator(Emulator.load(), grid)

# %%
# Who is observed, and how well. Labels are uniform here: Teff, log g, [M/H], [alpha/M] and [C/M]. The S/N is
# drawn uniformly for each star, and the error is the same in all pixels.

survey = Survey(
    "low resolution",
    prior=LabelPrior((4000, 6000), (1, 5), (-1, 0.3), (-0.1, 0.4), (-0.3, 0.3)),
    noise=SNRNoise((20, 200)),
    emulator=emulator,
    masked=[(7590, 7700), (8120, 8350)],  # O2 A band; water
    n=4000,
    seed=1,
)
print(survey)

# %%
# A small network, trained for the half minute that a page like this can take. Spectra are simulated as it
# learns, the same 4,000 stars with new noise each time.

estimator = LoggEstimator(
    weights=None,
    labels=("logg",),
    width=64,
    depth=2,
    heads=4,
    patch_size=64,
    epochs=6,
    batch_size=64,
    learning_rate=2e-3,
    device="cpu",
    random_state=0,
).fit(survey)

# %%
# Other stars of the same survey, which it has not seen.

stars = survey.draw(1000, stream=EVALUATION)
truth = stars.labels[:, 1].numpy()
found = estimator.predict_labels(stars.flux.numpy(), ivar=stars.ivar.numpy())
logg, sigma = (x[:, 0] for x in found.columns(["logg"]))
r2 = 1 - np.sum((logg - truth) ** 2) / np.sum((truth - truth.mean()) ** 2)
print(f"R² = {r2:.3f}, mean absolute error {np.abs(logg - truth).mean():.2f} dex")
print(f"{np.mean(np.abs(logg - truth) <= sigma):.0%} of the stars lie within 1 σ")

# %%
# One of them, with the windows that are masked, and what the estimator makes of all.

figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 8), layout="constrained", height_ratios=(1, 2))
top.step(grid.wave, stars.flux[0], where="mid", lw=0.6, color="0.2")
for low, high in survey.masked:
    top.axvspan(low, high, color="tab:red", alpha=0.2, lw=0)
top.set_xlabel("wavelength in vacuum [Å]")
top.set_ylabel("flux [mean of f$_ν$]")
top.set_title(f"S/N {stars.snr[0]:.0f}")
top.margins(x=0)
points = bottom.scatter(truth, logg, c=stars.snr, s=8)
bottom.axline((3, 3), slope=1, color="0.5", lw=0.8, zorder=0)
bottom.set_xlabel("log g of the simulation")
bottom.set_ylabel("log g predicted")
bottom.set_aspect("equal")
figure.colorbar(points, label="S/N")
plt.show()
