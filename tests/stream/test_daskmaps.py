"""Arrays, data frames and bags of Dask: the numbers of one process, in order; weights once a worker."""

import astropy.units as u
import numpy as np
import pytest
from specutils import Spectrum

from specvit.stream import predict_dask
from specvit.stream.partitions import packed, predicted_frame

dask = pytest.importorskip("dask")
pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")

WAVE = np.linspace(7000, 8900, 3000)


@pytest.fixture(autouse=True)
def in_this_thread():
    import dask.array
    import dask.bag
    import dask.dataframe

    with dask.config.set({"scheduler": "synchronous", "dataframe.convert-string": False}):
        yield


def test_arrays_of_any_chunks(flux, predictor):
    expected = predictor.predict_table(flux, ivar=np.full(flux.shape, 9.0))
    source = dask.array.from_array(flux, chunks=(10, 1000))
    ivar = dask.array.from_array(np.full(flux.shape, 9.0), chunks=(4, 4096))
    found = predict_dask(source, predictor, ivar=ivar)
    assert found.npartitions == 3
    frame = found.compute()
    np.testing.assert_array_equal(frame["logg"], expected["logg"].value)
    np.testing.assert_array_equal(frame["snr"], expected["snr"])
    assert frame.columns.tolist() == found.columns.tolist() == expected.colnames


def test_rows_of_a_data_frame_and_a_broken_one(levels, predictor):
    cells = [np.full(WAVE.size, level) for level in levels]
    cells[3] = None
    stars = pd.DataFrame({"star": range(25), "flux": cells, "w": [WAVE] * 25}, index=range(100, 125))
    parts = [dask.delayed(stars[i : i + 9]) for i in (0, 9, 18)]
    source = dask.dataframe.from_delayed(parts, meta=stars[:0])
    frame = predict_dask(source, predictor, wave="w", keep=["star"]).compute()
    assert frame.index.tolist() == stars.index.tolist()
    assert frame["star"].tolist() == list(range(25))
    np.testing.assert_allclose(np.delete(frame["logg"].to_numpy(), 3), np.delete(levels, 3), rtol=1e-9)
    assert np.flatnonzero(frame["error"] != "").tolist() == [3]
    assert frame["error"].iloc[3] == "flux must be an array of numbers, got none"


def test_bags_of_spectra_and_of_paths(files, levels, predictor):
    spectra = [Spectrum(flux=np.full(3000, x) * u.Jy, spectral_axis=WAVE * u.AA) for x in levels]
    found = predict_dask(dask.bag.from_sequence(spectra, npartitions=2), predictor).compute()
    np.testing.assert_allclose(found["logg"] / found["logg"].iloc[0], levels / levels[0], rtol=1e-9)
    found = predict_dask(dask.bag.from_sequence(files, npartitions=2), predictor).compute()
    np.testing.assert_allclose(found["logg"], levels, rtol=1e-9)


def test_text_that_were_arrays_is_refused(levels, predictor):
    stars = pd.DataFrame({"flux": [str(np.ones(3))] * 4})
    with pytest.raises(ValueError, match=r"dataframe\.convert-string"):
        predict_dask(dask.dataframe.from_pandas(stars, npartitions=1), predictor)
    with pytest.raises(TypeError, match="array, data frame or bag of dask, got list"):
        predict_dask([1, 2], predictor)


def test_a_worker_loads_the_predictor_once(flux, predictor):
    payload = packed(predictor)
    from specvit.stream import partitions

    partitions._unpacked.cache_clear()
    for _ in range(3):
        predicted_frame(payload, flux)
    assert partitions._unpacked.cache_info().misses == 1
