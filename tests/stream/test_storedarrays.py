"""Files of many fluxes: what arrays hold by their names, units, and masks."""

import h5py
import numpy as np
import pytest

from specvit import PFS_MR
from specvit.stream import open_source, predict_parts

LEVELS = np.arange(1.0, 6.0)


@pytest.fixture
def stored(tmp_path):
    """Write arrays, with fluxes of known levels on the grid, to a file; attributes by "name@attribute"."""

    def write(flux=None, **arrays):
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            file["flux"] = np.repeat(LEVELS[:, None], len(PFS_MR), axis=1) if flux is None else flux
            for name, array in arrays.items():
                if "@" not in name:
                    file[name] = array
            for name, value in arrays.items():
                if "@" in name:
                    file[name.split("@")[0]].attrs[name.split("@")[1]] = value
        return path

    return write


def levels(path, predictor, **options):
    (part,) = predict_parts(path, predictor, **options)
    assert not any(part.table["error"])
    return part.table["logg"].value, part


@pytest.mark.parametrize(
    ("arrays", "noted"),
    [
        ({"wave": PFS_MR.wave}, False),
        ({"wavelength": PFS_MR.wave / 10}, True),
        ({"lambda": PFS_MR.wave / 10, "lambda@units": "nm"}, False),
        ({"loglam": np.log10(PFS_MR.wave)}, False),
    ],
)
def test_wavelengths_of_any_unit(stored, predictor, arrays, noted):
    found, part = levels(stored(**arrays), predictor)
    np.testing.assert_allclose(found, LEVELS, rtol=1e-6)
    assert bool(part.notes) == noted


def test_the_medium_of_an_attribute(stored):
    source = open_source(stored(wave=PFS_MR.wave, **{"wave@medium": "air"}))
    assert source.meta == {"medium": "air"}


@pytest.mark.parametrize(("name", "bad"), [("mask", 1), ("good", 0)])
def test_masked_pixels_are_not_used(stored, predictor, name, bad):
    flux = np.repeat(LEVELS[:, None], len(PFS_MR), axis=1)
    flux[:, :300] = 1e3
    mask = np.full(flux.shape, 1 - bad)
    mask[:, :300] = bad
    found, _ = levels(stored(flux, **{name: mask}), predictor)
    np.testing.assert_allclose(found, LEVELS, rtol=1e-6)


def test_variances_and_errors_weigh_alike(stored):
    error = np.full((5, len(PFS_MR)), 0.1)
    for arrays in ({"err": error}, {"var": error**2}, {"ivar": 1 / error**2}):
        np.testing.assert_allclose(np.asarray(open_source(stored(**arrays)).ivar[:2]), 100.0)


def test_wavelengths_of_an_unknown_name_are_not_passed_over(stored):
    with pytest.raises(ValueError, match="xs may be the wavelengths, but no such name is known: call it"):
        open_source(stored(xs=PFS_MR.wave + 30))
    assert open_source(stored(exposures=np.ones(len(PFS_MR)))).total == 5


@pytest.mark.parametrize(
    ("flux", "arrays", "message"),
    [
        (np.ones((4096, 5)), {"wave": PFS_MR.wave}, "flux must have a spectrum in each row"),
        (None, {"err": np.ones(4096)}, r"err must have the shape of the flux \(5, 4096\)"),
    ],
)
def test_wrong_shapes_are_named(stored, flux, arrays, message):
    with pytest.raises(ValueError, match=message):
        open_source(stored(flux, **arrays))


def test_several_files_of_single_spectra(tmp_path, predictor):
    paths = []
    for k, level in enumerate(LEVELS):
        paths.append(str(tmp_path / f"{k}.h5"))
        with h5py.File(paths[-1], "w") as file:
            file["wave"], file["flux"] = PFS_MR.wave, np.full(len(PFS_MR), level)
            file["err"] = np.full(len(PFS_MR), 0.1)
    found, _ = levels(paths, predictor)
    np.testing.assert_allclose(found, LEVELS, rtol=1e-6)
    (one,) = predict_parts(paths[2], predictor)
    np.testing.assert_allclose(one.table["logg"].value, LEVELS[2:3], rtol=1e-6)


def test_a_spectrum_in_rows_of_an_array(tmp_path, predictor):
    np.save(tmp_path / "a.npy", np.stack([PFS_MR.wave, np.full(4096, 3.0), np.full(4096, 0.1)]))
    found, _ = levels(tmp_path / "a.npy", predictor)
    np.testing.assert_allclose(found, [3.0], rtol=1e-6)
