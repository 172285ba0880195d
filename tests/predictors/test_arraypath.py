"""Arrays piece by piece on the device: the answers of all other ways, faults and flags among them."""

import tracemalloc

import numpy as np
import pytest
import torch

from specvit import LoggEstimator, Survey
from specvit.honesty.screening import line_model
from specvit.spectra import SpectrumError

pytestmark = pytest.mark.filterwarnings("ignore::specvit.exceptions.AlarmWarning")


@pytest.fixture(scope="module")
def arrays():
    """600 spectra, more than one piece; some of them faulty."""
    batch = Survey("paper", seed=5).draw(40, magnitude=21.0)
    flux, ivar = (np.tile(x.numpy(), (15, 1)) for x in (batch.flux, batch.ivar))
    flux[3], flux[5], ivar[7] = np.nan, 0, 0
    flux[9] *= -1
    flux[11, :30], ivar[13, 100:200] = np.nan, np.inf
    flux[559, 300:] = np.nan
    return flux, ivar


@pytest.fixture(scope="module")
def estimator():
    return LoggEstimator(device="cpu", precision="32-true")


@pytest.mark.slow
def test_tables_are_those_of_the_batch(estimator, arrays):
    flux, ivar = arrays
    found = estimator.predict_table(flux, ivar=ivar)
    whole = estimator.predict_labels(flux.astype(np.float64), ivar=ivar.astype(np.float64), on_error="nan")
    for k, name in enumerate(whole.names):
        scale = np.nanmedian(whole.sigma[:, k])
        np.testing.assert_allclose(found[name].value, whole.mean[:, k], atol=1e-4 * scale)
        np.testing.assert_allclose(found[f"{name}_err"].value, whole.sigma[:, k], rtol=1e-4)
    np.testing.assert_array_equal(found["flags"], whole.batch.flags)
    np.testing.assert_allclose(found["snr"], whole.batch.snr, rtol=1e-5)
    np.testing.assert_array_equal(found["coverage"], whole.batch.coverage)
    assert found["error"].tolist() == [reason or "" for reason in whole.batch.errors]
    assert sum(map(bool, found["error"].tolist())) == 4 or found["error"][559]


def test_tiny_fluxes_and_other_holders_of_numbers(estimator, arrays):
    flux, ivar = (x[20:24].astype(np.float64) for x in arrays)
    expected = estimator.predict(flux, ivar=ivar)
    tiny = estimator.predict(flux * 1e-17, ivar=ivar * 1e34)
    np.testing.assert_allclose(tiny, expected, atol=1e-5)
    swapped = estimator.predict(flux.astype(">f4"), ivar=ivar.astype(">f8"))
    tensors = estimator.predict(torch.tensor(flux), ivar=torch.tensor(ivar))
    np.testing.assert_allclose(swapped, expected, atol=1e-4)
    np.testing.assert_allclose(tensors, expected, atol=1e-5)


@pytest.mark.slow
def test_the_faulty_spectrum_is_named_by_its_place(estimator, arrays):
    flux, ivar = (np.concatenate([x[20:40]] * 27) for x in arrays)
    flux[530] = 0
    with pytest.raises(SpectrumError, match=r"spectra\[530\]: flux is zero"):
        estimator.predict(flux, ivar=ivar)
    flux[530] = np.linspace(7100, 8850, 4096)
    with pytest.raises(ValueError, match="in row 530"):
        estimator.predict(flux, ivar=ivar)


def test_nothing_is_written_to_and_memory_stays_flat(estimator, arrays, monkeypatch):
    monkeypatch.setattr("specvit.network.tensors._ON_PROCESSOR", 32)
    flux, ivar = (np.concatenate([x[20:40]] * 8) for x in arrays)
    flux.flags.writeable = ivar.flags.writeable = False
    estimator.predict(flux[:2], ivar=ivar[:2])
    for coarse in (1, 2):  # made once, of tens of MB, when the first doubtful spectrum comes
        line_model("cpu", coarse)
    tracemalloc.start()
    estimator.predict(flux, ivar=ivar)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < flux.nbytes + ivar.nbytes
