"""
A survey
========

Stars of any distribution, any noise, any spectrograph: what networks learn from and methods are measured on.
"""

import matplotlib.pyplot as plt

from specvit import Survey
from specvit.survey import LabelPrior, SNRNoise

survey = Survey(
    "giants",
    prior=LabelPrior((4000, 5200), (0.5, 3.5), (-1.5, 0.3), (-0.1, 0.4), (-0.3, 0.3)),
    noise=SNRNoise((20, 100)),
    n=2000,
    seed=1,
)
print(survey)
stars = survey.draw(300)

# %%
# Who they are, and the first of them with and without its noise.

wave, (teff, logg, mh) = survey.grid.wave, stars.labels[:, :3].T.numpy()
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", width_ratios=(1, 1.8))
points = left.scatter(teff, logg, c=mh, s=8)
left.set(xlabel="$T_{eff}$ [K]", ylabel="log g", xlim=(5300, 3900), ylim=(3.7, 0.3))
figure.colorbar(points, label="[M/H]", ax=left)
right.plot(wave, stars.flux[0], lw=0.5, color="0.6", label=f"S/N {stars.snr[0]:.0f}")
right.plot(wave, stars.noiseless[0], lw=0.7, color="tab:red", label="noiseless")
right.set(xlabel="wavelength in vacuum [Å]", ylabel="flux [mean of $f_ν$]", xlim=(8450, 8720))
right.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
plt.show()
