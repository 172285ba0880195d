"""Which columns belong together, and what wavelengths are by their names."""

import json
import zipfile

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import StdDevUncertainty
from specutils import Spectrum

from specvit.spectra.readers import read
from specvit.spectra.readers.columnroles import find_columns

WAVE = 7000 + 0.5 * np.arange(3800)
FLUX = 1 - 0.5 * np.exp(-(((WAVE - 8544) / 4) ** 2))


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        ("wave flux flux_norm err_norm", "flux_norm err_norm"),
        ("wave flux err flux_norm", "flux err"),
        ("wave flux err flux_norm err_norm", "flux err"),
        ("wave flux1 err1 flux2 err2", "flux1 err1"),
        ("wave flux2 err2", "flux2 err2"),
        ("wave normalized_flux normalised_error", "normalized_flux normalised_error"),
        ("WAVE FLUX FLUX_REDUCED ERR_REDUCED ERR", "FLUX ERR"),
        ("WAVE FLUX FLUX_REDUCED ERR_REDUCED", "FLUX_REDUCED ERR_REDUCED"),
        ("wave normflux err", "normflux err"),
        ("loglam flux model ivar", "flux ivar"),
    ],
)
def test_a_flux_goes_with_its_own_error(names, pair):
    found = find_columns(names.split())
    error = next(found[role] for role in ("sigma", "ivar") if role in found)
    assert f"{found['flux']} {error}" == pair


@pytest.mark.parametrize(
    ("heading", "values", "noted"),
    [
        ("wavenumber (cm-1)", 1e8 / WAVE, ""),
        ("frequency [THz]", 2.99792458e6 / WAVE, ""),
        ("lnlambda", np.log(WAVE), "ln of Å"),
        ("loglam", np.log(WAVE), "ln of Å"),
        ("wave", np.log(WAVE), "ln of Å"),
        ("wave", np.log10(WAVE), "log10 of Å"),
    ],
)
def test_axes_that_are_no_wavelengths(tmp_path, heading, values, noted):
    rows = "\n".join(f"{x:.12g},{y:.8g}" for x, y in zip(values, FLUX, strict=True))
    (tmp_path / "a.csv").write_text(f"{heading},flux\n{rows}\n")
    spectrum = Spectrum.read(tmp_path / "a.csv")
    wave = spectrum.spectral_axis.to_value(u.AA, u.spectral())
    np.testing.assert_allclose(wave, WAVE, rtol=0, atol=1e-4)
    np.testing.assert_allclose(spectrum.flux.value, FLUX, rtol=1e-6)
    assert noted in " ".join(spectrum.meta["notes"])


def test_a_frequency_without_a_unit_is_refused(tmp_path):
    rows = "\n".join(f"{x:.12g},{y:.8g}" for x, y in zip(2.99792458e6 / WAVE, FLUX, strict=True))
    (tmp_path / "a.csv").write_text(f"frequency,flux\n{rows}\n")
    with pytest.raises(ValueError, match="column 'frequency' must state its unit: --wave-unit UNIT"):
        read(tmp_path / "a.csv")
    (spectrum,) = read(tmp_path / "a.csv", wave_unit="THz")
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA, u.spectral()), WAVE, rtol=1e-9)


def test_numbers_in_text_columns(tmp_path):
    columns = [
        fits.Column("wave", "12A", array=np.char.mod("%.4f", WAVE)),
        fits.Column("flux", "12A", array=np.char.mod("%.7f ", FLUX)),
    ]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "a.fits")
    spectrum = Spectrum.read(tmp_path / "a.fits")
    np.testing.assert_allclose(spectrum.flux.value, FLUX, atol=1e-7)


@pytest.mark.parametrize("one_row", [True, False])
def test_wavelengths_in_a_table_of_their_own(tmp_path, one_row):
    n = WAVE.size
    axis = fits.Column("WAVE", f"{n}D", "nm", array=[WAVE / 10])
    if not one_row:
        axis = fits.Column("WAVE", "D", "nm", array=WAVE / 10)
    fluxes = [FLUX, FLUX + 1]
    columns = [
        fits.Column("FLUX", f"{n}D", array=fluxes),
        fits.Column("ERR", f"{n}D", array=[0 * FLUX + 1] * 2),
    ]
    tables = [fits.BinTableHDU.from_columns([axis]), fits.BinTableHDU.from_columns(columns)]
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(tmp_path / "a.fits")
    spectra = read(tmp_path / "a.fits")
    assert len(spectra) == 2
    np.testing.assert_allclose(spectra[1].spectral_axis.to_value(u.AA), WAVE, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(spectra[1].flux.value, fluxes[1])
    assert (spectra[1].uncertainty.represent_as(StdDevUncertainty).array == 1).all()


def test_the_logarithmic_cards_of_sdss_in_any_image(tmp_path):
    cards = fits.Header({"COEFF0": 3.85, "COEFF1": 1e-4})
    fits.PrimaryHDU(FLUX[:500], cards).writeto(tmp_path / "a.fits")
    spectrum = Spectrum.read(tmp_path / "a.fits")
    expected = 10 ** (3.85 + 1e-4 * np.arange(500))
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("yes", "no"), [("yes", "no"), ("True", "False"), ("T", "F"), ("1", "0")])
def test_masks_in_words(tmp_path, yes, no):
    rows = [
        f"{x:.8g},{y:.8g},{yes if i % 9 == 0 else no}"
        for i, (x, y) in enumerate(zip(WAVE, FLUX, strict=True))
    ]
    (tmp_path / "a.csv").write_text("wave,flux,mask\n" + "\n".join(rows))
    assert np.flatnonzero(Spectrum.read(tmp_path / "a.csv").mask).tolist() == list(range(0, 3800, 9))


@pytest.mark.parametrize("word", ["#N/A", "missing", "--", "NULL", ""])
def test_words_for_missing_numbers(tmp_path, word):
    rows = [f"{x:.8g},{word if i == 7 else y}" for i, (x, y) in enumerate(zip(WAVE, FLUX, strict=True))]
    (tmp_path / "a.csv").write_text("wave,flux\n" + "\n".join(rows))
    assert np.flatnonzero(Spectrum.read(tmp_path / "a.csv").mask).tolist() == [7]


def test_other_kinds_of_files_are_refused_in_a_line(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"wave": WAVE.tolist() * 3, "flux": FLUX.tolist() * 3}))
    (tmp_path / "a.csv").write_text("wave,flux\n8000,1\n8001,1\n")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.csv", "a.csv")
    with pytest.raises(ValueError, match=r"its format is not recognised: .* no table of numbers"):
        read(tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"a zip archive of a.csv: unpack it"):
        read(tmp_path / "a.zip")
