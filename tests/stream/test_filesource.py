"""Files that hold many spectra: cubes in pieces, and what their rows are called."""

from functools import partial

import numpy as np
import pytest
from astropy.io import fits

from specvit.stream import filesource, open_source, predict_parts, predict_stream

NY, NX = 7, 5
LEVELS = np.arange(1.0, 1 + NY * NX)


@pytest.fixture(params=["plain", "tiles"])
def cube(tmp_path, request):
    """A cube whose spaxels have the levels 1, 2, 3 …, x first."""
    wave = 7000 + 0.5 * np.arange(3800)
    data = np.tile(LEVELS.reshape(1, NY, NX), (wave.size, 1, 1)).astype(">f4")
    axis = {"CTYPE3": "AWAV", "CUNIT3": "Angstrom", "CRVAL3": wave[0], "CRPIX3": 1.0, "CDELT3": 0.5}
    image = fits.ImageHDU
    if request.param == "tiles":
        image = partial(
            fits.CompImageHDU, compression_type="GZIP_2", quantize_level=0, tile_shape=(100, 1, NX)
        )
    hdus = [fits.PrimaryHDU(), image(data, fits.Header(axis), name="DATA")]
    hdus.append(image(np.full_like(data, 0.01), name="STAT"))
    fits.HDUList(hdus).writeto(tmp_path / "cube.fits")
    return str(tmp_path / "cube.fits")


@pytest.fixture
def small_pieces(monkeypatch):
    """Cubes of any size are read by two image rows."""
    monkeypatch.setattr(filesource, "_LARGEST_PIECE", 1e5)
    monkeypatch.setattr(filesource, "_PACKED", 1000)  # levels without noise pack well
    monkeypatch.setattr(filesource, "_OF_CUBE", 2 * NX)


def names(ny=NY, nx=NX):
    return [f"{x},{y}" for y in range(1, ny + 1) for x in range(1, nx + 1)]


def test_cubes_are_read_by_image_rows(cube, predictor, small_pieces, tmp_path):
    source = open_source(cube)
    assert (source.unit, source.total) == ("spectra", NY * NX)
    parts = list(predict_parts(source, predictor))
    assert [part.size for part in parts] == [10, 10, 10, 5]
    logg = np.concatenate([part.table["logg"].value for part in parts])
    np.testing.assert_allclose(logg, LEVELS, rtol=1e-5)
    assert [name for part in parts for name in part.table["name"]] == names()
    places = [place for part in parts for place in part.table["file"]]
    assert places == [f"{cube}[{i}]" for i in range(NY * NX)]
    done = predict_stream(cube, tmp_path / "a.ecsv", predictor)
    assert (done.rows, done.failed) == (NY * NX, 0)


def test_the_same_rows_as_from_the_whole_cube(cube, predictor, small_pieces, monkeypatch):
    pieces = [part.table for part in predict_parts(cube, predictor)]
    monkeypatch.setattr(filesource, "_LARGEST_PIECE", 64e6)
    (whole,) = [part.table for part in predict_parts(cube, predictor)]
    for name in ("file", "name", "logg", "snr", "error"):
        joined = np.concatenate([np.asarray(getattr(one[name], "value", one[name])) for one in pieces])
        np.testing.assert_array_equal(joined, np.asarray(getattr(whole[name], "value", whole[name])))


def test_a_cube_among_other_files_counts_as_one(cube, files, predictor, small_pieces):
    source = open_source([files[0], cube, *files[1:4]])
    parts = list(predict_parts(source, predictor))
    assert (source.unit, source.total) == ("files", 5)
    assert sum(part.size for part in parts) == 5
    assert sum(len(part.table) for part in parts) == 4 + NY * NX
    assert [place for part in parts for place in part.table["file"]][-3:] == files[1:4]
