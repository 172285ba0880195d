"""HDF5 files of a few spectra, and NumPy arrays that are one."""

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.nddata import InverseVariance
from astropy.table import QTable, Table
from specutils import Spectrum, SpectrumList

from specvit.spectra.readers import read

WAVE = 8000 + 0.4 * np.arange(200)
FLUX = 1 + 0.1 * np.sin(WAVE)
ERR = 0.01 + 0.001 * np.cos(WAVE)


def same(spectrum, wave=WAVE, flux=FLUX):
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), wave, rtol=0, atol=1e-4)
    np.testing.assert_allclose(spectrum.flux.value, flux)
    np.testing.assert_allclose(
        spectrum.uncertainty.represent_as(InverseVariance).array, 1 / ERR**2, rtol=1e-6
    )


def test_one_spectrum(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["wave"], file["flux"], file["err"] = WAVE / 10, FLUX, ERR
        file["wave"].attrs.update({"unit": "nm", "medium": "air"})
        file.attrs["resolution"] = 20000
    spectrum = Spectrum.read(tmp_path / "a.h5")
    same(spectrum)
    assert (spectrum.meta["medium"], spectrum.meta["resolution"]) == ("air", 20000.0)


@pytest.mark.parametrize("shared", [False, True])
def test_a_star_in_each_group(tmp_path, shared):
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        if shared:
            file["loglam"] = np.log10(WAVE)
        for k, name in enumerate(("one", "two")):
            group = file.create_group(f"stars/{name}")
            if not shared:
                group["loglam"] = np.log10(WAVE)
            group["flux"], group["ivar"] = FLUX + k, 1 / ERR**2
    spectra = SpectrumList.read(tmp_path / "a.hdf5")
    assert [one.meta["name"] for one in spectra] == ["one", "two"]
    same(spectra[1], flux=FLUX + 1)


def test_each_row_has_its_axis(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["wave"], file["flux"] = np.stack([WAVE, WAVE + 1]), np.stack([FLUX, FLUX + 1])
        file["error"] = np.stack([ERR, ERR])
    same(read(tmp_path / "a.h5")[1], WAVE + 1, FLUX + 1)


def test_a_table_of_astropy(tmp_path):
    table = QTable({"wave": WAVE / 10 * u.nm, "flux": FLUX * u.Jy, "err": ERR * u.Jy})
    table.write(tmp_path / "a.h5", path="data", serialize_meta=True)
    (spectrum,) = read(tmp_path / "a.h5")
    same(spectrum)
    assert spectrum.unit == u.Jy


@pytest.mark.parametrize("serialized", [True, False])
def test_metadata_of_a_table_of_astropy(tmp_path, serialized):
    """They are attributes, or, as ``serialize_meta`` writes them, YAML in an array of its own."""
    table = Table({"wave": WAVE, "flux": FLUX, "err": ERR}, meta={"medium": "air", "resolution": 8000})
    table.write(tmp_path / "star.h5", path="star", serialize_meta=serialized)
    (spectrum,) = read(tmp_path / "star.h5")
    assert (spectrum.meta["medium"], spectrum.meta["resolution"]) == ("air", 8000.0)


def test_chosen_arrays_and_none(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["g/x"], file["g/y"], file["h/z"] = WAVE, FLUX, ERR
    (spectrum,) = read(tmp_path / "a.h5", columns={"wave": "x", "flux": "y"})
    np.testing.assert_array_equal(spectrum.flux.value, FLUX)
    with pytest.raises(ValueError, match=r"no group has arrays called wave and flux; .* g/x \(200,\)"):
        read(tmp_path / "a.h5")


@pytest.mark.parametrize("form", ["rows", "columns", "fields"])
def test_an_array_that_is_one_spectrum(tmp_path, form):
    rows = np.stack([WAVE, FLUX, ERR])
    if form == "columns":
        rows = rows.T
    if form == "fields":
        rows = np.rec.fromarrays([WAVE, FLUX, ERR], names="wave,flux,err")
    np.save(tmp_path / "a.npy", rows)
    same(Spectrum.read(tmp_path / "a.npy"))


def test_arrays_that_are_no_spectrum(tmp_path):
    np.save(tmp_path / "a.npy", np.stack([FLUX, FLUX]))
    with pytest.raises(ValueError, match=r"a NumPy array of shape \(2, 200\) without wavelengths"):
        read(tmp_path / "a.npy")
