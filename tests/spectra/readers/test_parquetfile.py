"""Parquet tables: a row a pixel, and a row a star."""

import builtins

import astropy.units as u
import numpy as np
import pytest
from specutils import Spectrum, SpectrumList

from specvit.spectra.readers import read

WAVE = 8000 + 0.4 * np.arange(200)
FLUX = 1 + 0.1 * np.sin(WAVE)


def write(path, **columns):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table(columns), path)
    return path


def test_a_row_a_pixel(tmp_path):
    flux = [None if i == 5 else value for i, value in enumerate(FLUX)]
    path = write(tmp_path / "a.parquet", wave_nm=WAVE / 10, flux=flux, err=np.full(200, 0.1))
    spectrum = Spectrum.read(path)
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), WAVE, rtol=0, atol=1e-4)
    np.testing.assert_allclose(spectrum.flux.value[6:], FLUX[6:])
    assert np.flatnonzero(spectrum.mask).tolist() == [5]


def test_a_row_a_star(tmp_path):
    columns = {"source_id": [7, 8], "wave": [WAVE.tolist()] * 2, "flux": [FLUX.tolist(), (FLUX + 1).tolist()]}
    spectra = SpectrumList.read(write(tmp_path / "a.parquet", **columns))
    assert [one.meta["name"] for one in spectra] == ["7", "8"]
    np.testing.assert_allclose(spectra[1].flux.value, FLUX + 1)


def test_other_tables_and_damage(tmp_path):
    path = write(tmp_path / "a.parquet", x=WAVE, y=FLUX)
    with pytest.raises(ValueError, match="no column of wavelength and flux is known by its name among x, y"):
        read(path)
    assert read(path, columns={"wave": "x", "flux": "y"})[0].shape == (200,)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="no Parquet table that can be read"):
        read(path)


def test_without_pyarrow(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    original = builtins.__import__

    def without(name, *args, **options):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return original(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match="Parquet files need the package pyarrow, which is not installed"):
        read(tmp_path / "a.parquet")
