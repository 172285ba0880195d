"""Lanes: pieces side by side give what one lane gives, in order, and say of which row they complain."""

import threading
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from specvit import LoggEstimator, Survey
from specvit.predictors import arraypath, arraypieces, piecewise
from specvit.predictors.lanes import Lane, lanes_of, stream_of
from specvit.spectra import SpectrumError

pytestmark = pytest.mark.filterwarnings("ignore::specvit.exceptions.AlarmWarning")


@pytest.fixture(scope="module")
def arrays():
    batch = Survey("paper", seed=6).draw(90, magnitude=20.5)
    return [x.numpy() for x in (batch.flux, batch.ivar)]


@pytest.fixture
def estimator(monkeypatch):
    """Pieces of 8 spectra, so that there are many."""
    monkeypatch.setattr("specvit.network.tensors._ON_PROCESSOR", 8)
    return LoggEstimator(device="cpu", precision="32-true")


@pytest.fixture
def three_lanes(monkeypatch):
    """Three threads instead of two on each GPU; they note which had pieces."""
    seen = set()

    class Noting(Lane):
        def _call(self, function, *arguments):
            if arguments:  # a piece; what is fitted in the end has none
                seen.add(threading.get_ident())
            return super()._call(function, *arguments)

    def lanes(predictor, n_pieces):
        return [Noting(predictor._network(), k) for k in range(3)]

    monkeypatch.setattr(arraypath, "lanes_of", lanes)
    return seen


def test_several_lanes_give_what_one_gives(arrays, estimator, three_lanes, monkeypatch):
    flux, ivar = (x.copy() for x in arrays)
    flux[31], ivar[50, :3000] = 0, 0  # rejected, and little left
    flux[60:64] = np.roll(flux[60:64], 40, 1)  # of another velocity
    several = estimator.predict_table(flux, ivar=ivar)
    assert len(three_lanes) == 3
    monkeypatch.setattr(arraypath, "lanes_of", lanes_of)
    one = estimator.predict_table(flux, ivar=ivar)
    for name in ("logg", "logg_err", "teff"):
        np.testing.assert_allclose(several[name].value, one[name].value, rtol=1e-5)
    np.testing.assert_array_equal(several["flags"], one["flags"])
    assert several["error"].tolist() == one["error"].tolist() and one["error"][31]


def test_the_first_row_with_a_fault_is_named(arrays, estimator, three_lanes):
    flux, ivar = (x.copy() for x in arrays)
    flux[[37, 70]] = 0
    with pytest.raises(SpectrumError, match=r"spectra\[37\]: flux is zero"):
        estimator.predict(flux, ivar=ivar)
    flux[44] = np.linspace(7100, 8850, 4096)
    with pytest.raises(ValueError, match="in row 44"):
        estimator.predict(flux, ivar=ivar)


def test_an_error_in_a_lane_reaches_the_caller_and_threads_end(arrays, estimator, three_lanes, monkeypatch):
    before, calls = threading.active_count(), []

    def fails(*arguments):
        calls.append(1)
        if len(calls) == 5:
            raise MemoryError("of the GPU")
        return whole(*arguments)

    whole = arraypath._predicted
    monkeypatch.setattr(arraypath, "_predicted", fails)
    with pytest.raises(MemoryError, match="of the GPU"):
        estimator.predict(*arrays[:1], ivar=arrays[1])
    assert threading.active_count() == before


def test_a_processor_has_one_lane_without_a_thread(estimator):
    (lane,) = lanes_of(estimator, 10)
    assert lane.submit(threading.current_thread).result() is threading.main_thread()


@pytest.mark.parametrize(
    ("n", "size", "first"), [(200_000, 32_768, 4096), (90, 16, 2), (33, 8, 4096), (3, 8, 1)]
)
def test_pieces_begin_small_and_cover_all_rows(n, size, first, monkeypatch):
    monkeypatch.setattr(arraypieces, "_FIRST", first)
    parts = arraypieces.rows_of_pieces(n, size)
    sizes = [stop - start for start, stop in parts]
    assert [start for start, _ in parts] == [0, *np.cumsum(sizes)[:-1]] and sum(sizes) == n
    assert sizes[0] == min(first, size, n) and max(sizes) <= size
    assert sizes[1:-1] == [min(2 * before, size) for before in sizes[:-2]]


class Stream:
    """A stream of a GPU that notes which streams it waits for."""

    def __init__(self, device):
        self.device, self.before = device, []

    def wait_stream(self, other):
        self.before.append(other)


@pytest.fixture
def streams(monkeypatch):
    """Where there is no GPU; nothing of it is left in what remembers streams."""
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    stream_of.cache_clear()
    yield
    stream_of.cache_clear()


class Gpu:
    """Where pieces are sent to, as their stream; copies go on until somebody waits for them."""

    type, device = "cuda", torch.device("cpu")

    class Copy:
        def __init__(self):
            self.of = self.arrived = None

        def synchronize(self):
            self.arrived = self.of.clone() if self.arrived is None else self.arrived

    def record_event(self):
        return self.Copy()


@pytest.mark.parametrize("n_gpus", [1, 2])
def test_what_is_on_its_way_to_a_gpu_is_not_written_over(monkeypatch, n_gpus):
    """Pieces pass through memory that is used again and again, by small ones and larger ones."""
    empty, pinned = torch.empty, []

    def pageable(shape, *, pin_memory=False, **options):
        pinned.append(shape[0] if pin_memory else None)
        return empty(shape, **options)

    monkeypatch.setattr(torch, "empty", pageable)
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)
    monkeypatch.setattr(arraypieces, "stream_of", lambda device, purpose: device)
    flux = np.arange(88, dtype=np.float32).reshape(22, 4)
    monkeypatch.setattr(arraypieces, "_FIRST", 1)
    parts = arraypieces.rows_of_pieces(len(flux), 4)
    on_their_way = []
    for piece in arraypieces.sent_pieces(flux, -flux.astype(float), parts, [Gpu() for _ in range(n_gpus)]):
        for tensor, copy in piece.sent:
            copy.of = tensor  # the pinned memory itself
        on_their_way.append([copy for _, copy in piece.sent])
    for copies, (start, stop) in zip(on_their_way, parts, strict=True):
        for copy, expected in zip(copies, (flux, -flux), strict=True):
            copy.synchronize()
            np.testing.assert_array_equal(copy.arrived, expected[start:stop])
    assert pinned == [4, 4, 4, 4]  # two of each array, whatever the first piece is


def test_a_piece_of_more_than_the_layers_take_is_answered_in_its_order(arrays, estimator, monkeypatch):
    expected = estimator.predict_labels(arrays[0][:20], ivar=arrays[1][:20])
    monkeypatch.setattr(arraypath, "MOST_IN_LAYERS", 3)
    found = estimator.predict_table(arrays[0][:20], ivar=arrays[1][:20])
    np.testing.assert_allclose(found["logg"].value, expected.mean[:, expected.names.index("logg")], atol=1e-4)
    np.testing.assert_allclose(found["snr"], expected.batch.snr, rtol=1e-5)


def test_a_lane_on_a_gpu_waits_for_the_network_to_be_there(streams, monkeypatch):
    """Each time, though its stream is that of the lane before: memory is kept by stream."""
    device = torch.device("cuda", 1)
    callers = Stream(device)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda of: callers if of == device else None)
    network = SimpleNamespace(label_scale=SimpleNamespace(device=device))
    first, second, again = (Lane(network, number) for number in (0, 1, 0))
    for lane in (first, second, again):
        lane.close()
    assert first._stream is again._stream is not second._stream
    assert first._stream.device == device and first._stream.before == [callers, callers]


def test_sums_are_in_full_precision_whatever_the_user_asked_for(arrays, estimator, three_lanes, monkeypatch):
    """Of arrays in pieces and of a batch; least squares of TF32 products would be wrong by sigmas."""
    seen, before = set(), torch.get_float32_matmul_precision()

    def noting(call):
        def noted(*arguments, **options):
            seen.add(torch.get_float32_matmul_precision())
            return call(*arguments, **options)

        return noted

    for room, name in ((arraypath, "_predicted"), (piecewise, "examined")):
        monkeypatch.setattr(room, name, noting(getattr(room, name)))
    torch.set_float32_matmul_precision("high")
    try:
        estimator.predict(arrays[0], ivar=arrays[1])
        estimator.predict_labels(arrays[0][:3], ivar=arrays[1][:3])
        assert seen == {"highest"} and torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
