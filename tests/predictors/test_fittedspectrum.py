"""The spectrum of predicted labels on the data's own axis, against the emulator on its own grid."""

import astropy.units as u
import numpy as np
import pytest
import torch
from specutils import Spectrum

from specvit import PFS_MR, Emulator
from specvit.constants import SPEED_OF_LIGHT
from specvit.grid import vacuum_to_air
from specvit.labels import LABELS
from specvit.predictors import Predictor, fitted_spectrum

DENSITY = u.Unit("erg / (s cm2 AA)")
LABELS_TRUE = np.array([4700.0, 2.2, -0.4, 0.15, -0.05])


class Knowing(Predictor):
    """Gives all stars the labels that the test's star has."""

    labels, label_names = None, LABELS

    def _own_grid(self):
        return PFS_MR

    def _infer(self, flux, ivar):
        return np.tile(LABELS_TRUE, (len(flux), 1)), np.tile([50.0, 0.1, 0.05, 0.05, 0.05], (len(flux), 1))


@pytest.fixture(scope="module")
def star():
    """Flux at rest on PFS_MR, of the emulator calibrated there: another way than the module's."""
    emulator = Emulator.load().calibrated()
    with torch.no_grad():
        flux = emulator(torch.as_tensor(LABELS_TRUE, dtype=torch.float32)[None])[0].double().numpy()
    return flux / np.median(flux)


def observed(flux, velocity=0.0, medium="vacuum", unit=u.AA, flux_unit=DENSITY, noise=0.0):
    wave = PFS_MR.wave * (1 + velocity / SPEED_OF_LIGHT)
    x = PFS_MR.wave / 1000 - 8
    flux = flux * (1 + 0.1 * x - 0.05 * x**2) * 1e-17  # a response that is no star's
    flux = flux * (1 + noise * np.random.default_rng(1).standard_normal(flux.size))
    wave = vacuum_to_air(wave) if medium == "air" else wave
    flux = flux * DENSITY
    return Spectrum(
        flux=flux.to(flux_unit, u.spectral_density(wave * u.AA)),
        spectral_axis=(wave * u.AA).to(unit),
        meta={"medium": medium, "resolution": PFS_MR.resolving_power},
    )


@pytest.mark.parametrize(
    ("velocity", "medium", "unit", "flux_unit"),
    [
        (0.0, "vacuum", u.AA, DENSITY),
        (60.0, "air", u.nm, u.Jy),
        (-35.0, "air", u.micron, u.STmag),
    ],
)
def test_model_is_the_spectrum(star, velocity, medium, unit, flux_unit):
    spectrum = observed(star, velocity, medium, unit, flux_unit, noise=0.004)
    fit = fitted_spectrum(spectrum, Knowing())
    assert fit.model.unit == spectrum.unit
    np.testing.assert_array_equal(fit.model.spectral_axis.value, spectrum.spectral_axis.value)
    assert fit.velocity == pytest.approx(velocity, abs=2.0)
    inside = fit.used & np.isfinite(fit.model.data)
    assert inside.mean() > 0.98
    data, model = spectrum.data[inside], fit.model.data[inside]
    ratio = 10 ** (-0.4 * (data - model)) if flux_unit == u.STmag else data / model
    assert np.std(ratio) < 0.008 and np.abs(np.median(ratio) - 1) < 0.002
    # Noise of 0.4 % was estimated from the spectrum.
    assert np.nanstd(fit.residual) == pytest.approx(1, abs=0.4)


def test_lines_and_bands_on_the_axis(star):
    fit = fitted_spectrum(observed(star, 60.0, "air", u.nm, noise=0.004), Knowing())
    wave = fit.on_axis([8544.44], at_rest=True)
    assert wave[0] == pytest.approx(854.209 * (1 + 60 / SPEED_OF_LIGHT), abs=0.006)
    # Of the Ca II line: where flux is least.
    axis, flux = (x.value for x in (fit.spectrum.spectral_axis, fit.spectrum.flux))
    darkest = axis[np.argmin(np.where(np.abs(axis - 854.2) < 1, flux, np.inf))]
    assert darkest == pytest.approx(wave[0], abs=0.06)
    assert fit.on_axis(8544.44, at_rest=False) == pytest.approx(854.209, abs=1e-3)


def test_masked_pixels_are_not_used(star):
    fit = fitted_spectrum(observed(star, noise=0.004), Knowing(), mask=(7600, 7700))
    wave = PFS_MR.wave
    inside = (wave > 7600) & (wave < 7700)
    assert not fit.used[inside].any() and np.isnan(fit.residual[inside]).all()
    assert np.isfinite(fit.model.flux.value[inside]).all()


def test_wrong_input(star):
    with pytest.raises(TypeError, match="spectrum must be one Spectrum, got list"):
        fitted_spectrum([observed(star)])
    cube = Spectrum(flux=np.ones((2, 4096)) * u.one, spectral_axis=PFS_MR.wave * u.AA)
    with pytest.raises(ValueError, match="one dimension"):
        fitted_spectrum(cube)
    knowing = Knowing()
    knowing.label_names = ("logg",)
    with pytest.raises(ValueError, match="estimator must predict teff"):
        fitted_spectrum(observed(star), knowing)
