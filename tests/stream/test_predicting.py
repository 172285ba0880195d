"""Parts of any source: the same numbers as from all at once, in order, whatever breaks on the way."""

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.nddata import StdDevUncertainty
from astropy.table import Table
from specutils import Spectrum, SpectrumCollection, SpectrumList

from specvit import PFS_MR
from specvit.spectra import adapt
from specvit.stream import open_source, predict_parts
from tests.stream.levels import LevelPredictor


def gathered(parts):
    """log g, places and reasons of all parts."""
    tables = [part.table for part in parts]
    logg = np.concatenate([table["logg"].value for table in tables])
    places = [place for table in tables for place in table[table.colnames[0]].tolist()]
    return logg, places, [reason for table in tables for reason in table["error"].tolist()]


def spectra_of(flux):
    return [Spectrum(flux=row * u.Jy, spectral_axis=PFS_MR.wave * u.AA) for row in flux]


def cube_of(flux):
    """A cube whose spectral axis comes first."""
    return Spectrum(
        flux=flux.reshape(5, 5, -1).transpose(2, 0, 1) * u.Jy,
        spectral_axis=PFS_MR.wave * u.AA,
        spectral_axis_index=0,
        uncertainty=StdDevUncertainty(np.full((PFS_MR.wave.size, 5, 5), 0.1)),
    )


def collection_of(flux):
    return SpectrumCollection(flux=flux * u.Jy, spectral_axis=np.tile(PFS_MR.wave, (len(flux), 1)) * u.AA)


@pytest.mark.parametrize(
    "make",
    [
        np.asarray,
        lambda flux: flux.astype(">f4"),
        lambda flux: adapt(flux),
        spectra_of,
        lambda flux: SpectrumList(spectra_of(flux)),
        cube_of,
        collection_of,
        lambda flux: iter(spectra_of(flux)),
        lambda flux: (part for part in np.array_split(flux, 4)),
        lambda flux: ((part, np.full(part.shape, 4.0)) for part in np.array_split(flux, 4)),
    ],
)
def test_any_source_gives_what_predict_table_gives(make, flux, predictor):
    expected = predictor.predict_table(make(flux) if not hasattr(make(flux), "__next__") else flux)
    logg, rows, reasons = gathered(predict_parts(make(flux), predictor, batch_size=7))
    jansky = not isinstance(make(flux), np.ndarray) and not hasattr(make(flux), "__next__")
    assert rows == list(range(25))
    assert not any(reasons)
    if jansky or isinstance(make(flux), np.ndarray):
        np.testing.assert_array_equal(logg, expected["logg"].value)
    np.testing.assert_allclose(logg / logg[0], flux[:, 0] / flux[0, 0], rtol=1e-6)


def test_arrays_on_disk_are_read_in_pieces(flux, predictor, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["flux"], file["error"] = flux, np.full(flux.shape, 0.25)
        file["error"][3] = 0.0
    np.save(tmp_path / "a.npy", flux)
    memory_map = np.load(tmp_path / "a.npy", mmap_mode="r")
    expected = np.median(flux, axis=1)
    logg, _, reasons = gathered(predict_parts(tmp_path / "a.h5", predictor, batch_size=10))
    np.testing.assert_allclose(np.delete(logg, 3), np.delete(expected, 3))
    assert "without a finite, positive uncertainty" in reasons[3]
    for source in (memory_map, str(tmp_path / "a.npy")):
        np.testing.assert_allclose(gathered(predict_parts(source, predictor))[0], expected)
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_allclose(gathered(predict_parts(file["flux"], predictor))[0], expected)


def test_zarr(flux, predictor, tmp_path):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array("flux", data=flux)
    np.testing.assert_allclose(
        gathered(predict_parts(tmp_path / "a.zarr", predictor))[0], np.median(flux, axis=1)
    )


def test_arrays_on_an_axis_of_their_own(levels, predictor):
    wave = np.linspace(700, 890, 3000) * u.nm
    flux = np.tile(levels[:, None], (1, 3000))
    logg, _, _ = gathered(predict_parts(flux, predictor, wave=wave, ivar=np.full(flux.shape, 25.0)))
    np.testing.assert_allclose(logg, levels, rtol=1e-9)


def test_a_simulated_set_is_seen_with_its_frozen_noise(predictor, tmp_path):
    from specvit import Survey
    from specvit.dataset import SpectrumDataset, write_dataset

    write_dataset(Survey("paper"), tmp_path / "set.h5", 20)
    dataset = SpectrumDataset(tmp_path / "set.h5")
    noisy, ivar, _ = next(iter(dataset.frozen(20)))
    expected = predictor.predict_table(noisy.numpy(), ivar=ivar.numpy())["logg"].value
    for source in (dataset, tmp_path / "set.h5"):
        np.testing.assert_array_equal(gathered(predict_parts(source, predictor, batch_size=6))[0], expected)
    assert len(list(predict_parts(dataset, predictor, batch_size=6, first=2))) == 2


def test_files_are_answered_in_order_by_name(files, levels, predictor):
    table = Table({"PATH": files, "ID": [f"star {k}" for k in range(25)]})
    for workers in (1, 3):
        parts = list(predict_parts(table, predictor, batch_size=4, workers=workers))
        logg, places, _ = gathered(parts)
        assert places == files
        np.testing.assert_allclose(logg, levels, rtol=1e-9)
        assert [name for part in parts for name in part.table["name"]] == table["ID"].tolist()
    assert [part.size for part in parts] == [4] * 6 + [1]


def test_files_are_read_by_processes_too(files, levels):
    from tests.stream.levels import LevelPredictor as Predictor

    parts = predict_parts(files[:6], Predictor(), batch_size=2, workers=2, processes=True)
    np.testing.assert_allclose(gathered(parts)[0], levels[:6], rtol=1e-9)


def test_velocities_of_files_are_removed(tmp_path, predictor):
    """A step in the flux at rest, seen at 150 km/s."""
    wave = np.linspace(7000, 8900, 8000)
    paths = []
    for k, velocity in enumerate((0, 150, -300)):
        paths.append(str(tmp_path / f"{k}.txt"))
        shift = np.sqrt((1 + velocity / 299792.458) / (1 - velocity / 299792.458))
        np.savetxt(paths[-1], np.c_[wave * shift, 1 + 0.5 * (wave > 8000) * 1.0, 0 * wave + 0.1])
    seen = []

    class Watching(LevelPredictor):
        def _infer(self, flux, ivar):
            seen.append(flux.copy())
            return super()._infer(flux, ivar)

    list(predict_parts(paths, Watching(), velocity=[np.nan, 150.0, -300.0]))
    (flux,) = seen
    edge = np.array([np.interp(1.25, row[np.abs(PFS_MR.wave - 8000) < 20], np.arange(93)) for row in flux])
    assert np.ptp(edge) < 0.05  # pixels; 150 km/s are 9


def test_one_broken_file_or_spectrum_costs_its_own_row(files, levels, tmp_path):
    with open(files[3], "w") as file:
        file.write("nothing to see\nhere\n")
    wave = np.linspace(7000, 8900, 4000)
    np.savetxt(files[8], np.c_[wave, 0 * wave, 0 * wave + 0.1])
    sources = [*files]
    sources[11] = str(tmp_path / "absent.fits")
    torn = LevelPredictor(fails_at=levels[15])
    parts = list(predict_parts(sources, torn, batch_size=10))
    logg, _, reasons = gathered(parts)
    broken = [k for k in range(25) if reasons[k]]
    assert broken == [3, 8, 11, 15] == np.flatnonzero(np.isnan(logg)).tolist()
    assert "its format is not recognised" in reasons[3]
    assert reasons[8] == "flux is zero in all valid pixels"
    assert reasons[11].endswith("no such file") and reasons[15] == "torn in process True"
    assert [place for part in parts for place, _ in part.unread] == [sources[k] for k in (3, 11)]
    np.testing.assert_allclose(np.delete(logg, broken), np.delete(levels, broken), rtol=1e-9)
    flags = np.concatenate([part.table["flags"] for part in parts])
    assert [k for k in range(25) if flags[k] & 64] == broken


def test_only_what_is_asked_for_is_in_memory(predictor):
    """Readers are at most two pieces ahead."""
    alive = []

    def batches():
        for k in range(20):
            alive.append(k)
            yield np.ones((2, 4096)) * (k + 1)

    for part in predict_parts(batches(), predictor):
        assert len(alive) <= part.number + 5


def test_wrong_options_raise_before_the_work(files, flux, predictor):
    for source, options, message in (
        (files, {"medium": "water"}, "medium must be one of"),
        (flux, {"medium": "air"}, "medium must be that of the grid"),
        (files, {"ivar": flux}, "ivar does not go with this source"),
        (flux, {"ivar": flux[:3]}, "ivar must have the shape"),
        (flux[0], {}, "source must be paths"),
        (files, {"velocity": [1.0, 2.0]}, "velocities must be 25"),
        (files, {"batch_size": 0}, "batch_size must be an integer >= 1"),
        (Table({"star": files}), {}, "must have a column called file or path"),
        (flux, {"given": {"teff": (np.zeros(25), 1.0)}}, "given must be one value"),
        (3, {}, "source must be paths"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            predict_parts(source, predictor, **options)


def test_a_file_of_arrays_without_flux_says_what_it_has(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["teff"] = np.ones(3)
    with pytest.raises(ValueError, match=r"a.h5: needs an array called flux .* has teff \(3,\)"):
        open_source(tmp_path / "a.h5")
