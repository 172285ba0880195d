"""
SDSS and others by name
=======================

Presets know medium, resolution, native pixels and telluric bands of spectrographs
(``specvit.grid.INSTRUMENTS``). Files of surveys are read by ``Spectrum.read``, see :doc:`/files`; here the
spectrum is simulated.
"""

import textwrap

import astropy.units as u
import matplotlib.pyplot as plt
from astropy.nddata import InverseVariance
from specutils import Spectrum

from specvit import LoggEstimator
from specvit.assess.plots import plot_fit
from specvit.grid import INSTRUMENTS
from specvit.survey import preset_survey

print(textwrap.fill(", ".join(INSTRUMENTS), 80))

# %%
# A K giant at S/N 40 in SDSS's own pixels.

survey = preset_survey("SDSS", snr=40)
star = survey.observe([4600.0, 2.4, -0.2, 0.1, 0.0], snr=40)
spectrum = Spectrum(
    flux=star.flux[0].numpy() * u.one,
    spectral_axis=survey.grid.wave * u.AA,
    uncertainty=InverseVariance(star.ivar[0].numpy() * u.one),
)
plot_fit(spectrum, LoggEstimator(), instrument="SDSS")
plt.show()
