"""Data sets on disk: the layout, the round trip, interrupted runs, hostile files, streams."""

import hashlib
import itertools
import pickle
import random
import subprocess
import sys
import time
import tracemalloc
from collections import namedtuple
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from specvit.dataset import SpectrumDataset, write_dataset
from specvit.dataset.layout import COLUMNS
from specvit.dataset.shardfile import ShardFile
from specvit.dataset.shardwriter import row_median, row_nanmedian
from specvit.grid import PixelGrid
from specvit.labels import LABELS
from specvit.survey import Survey, SurveyBatch

ARRAYS = ("flux", "error", "error_noiseless", "mask")


class Stub:
    """A quick survey of few pixels; `delay` makes it slow enough to be interrupted."""

    label_names = LABELS
    grid = PixelGrid.linear(7000, 7064, 64, 1.0, name="stub")

    def __init__(self, seed=0, delay=0.0, masked=0.0):
        self.seed, self.delay, self.masked = seed, delay, masked

    def __repr__(self):
        return f"Stub({self.seed})"

    def draw(self, n, *, stream=0, device="cpu"):
        time.sleep(self.delay)
        rng = np.random.default_rng([self.seed, stream])
        teff = rng.uniform(4000, 6000, n)
        labels = np.stack([teff, *rng.uniform(-1, 5, (4, n))], 1)
        flux = 2 + np.sin(np.arange(64) * teff[:, None] / 4000)
        sigma = 0.1 * np.linspace(1, 2, 64) * np.sqrt(flux)
        noisy = flux + sigma * rng.standard_normal(flux.shape)
        ivar = 1 / (0.01 * np.linspace(1, 2, 64) ** 2 * noisy.mean(1, keepdims=True))
        ivar[rng.random(ivar.shape) < self.masked] = 0
        arrays = (noisy, ivar, labels, rng.uniform(20, 22, n), flux, sigma)
        return SurveyBatch(*(torch.as_tensor(x, dtype=torch.float32) for x in arrays))


def content(folder):
    """Checksums of all that is in a data set's files."""
    sums = {}
    for path in sorted(Path(folder).glob("*.h5")):
        with h5py.File(path) as file:
            parts = [file[f"dataset/arrays/{name}/value"][:] for name in ARRAYS]
            parts.append(file["dataset/params/table"][:])
            sums[path.name] = [hashlib.sha256(part.tobytes()).hexdigest() for part in parts]
    return sums


def foreign(path, *, n=12, p=64, dtype=np.float64, key="dataset/params", mask=False, table=None, fmt="table"):
    """A file as the reference has it, its table written by pandas."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("tables")
    rng = np.random.default_rng(0)
    flux = 0.5 + 0.1 * np.sin(0.1 * rng.uniform(1, 2, (n, 1)) * np.arange(p))
    with h5py.File(path, "w") as file:
        edges = np.linspace(7000, 7000 + p, p + 1)
        file["spectrumdataset/wave"], file["spectrumdataset/wave_edges"] = (edges[1:] + edges[:-1]) / 2, edges
        file["dataset/arrays/flux/value"] = flux.astype(dtype)
        file["dataset/arrays/error/value"] = (0.1 * np.linspace(1, 2, p) * np.sqrt(flux)).astype(dtype)
        if mask:
            file["dataset/arrays/mask/value"] = np.arange(n * p).reshape(n, p) % 7 == 0
    if table is None:
        table = pandas.DataFrame({name: rng.uniform(1, 2, n) for name in COLUMNS[:-1]})
        table["id"], table["interp_param"] = np.arange(n), "log_g"
    if fmt == "fixed":
        table = table.drop(columns="interp_param")
    table.to_hdf(path, key=key, format=fmt)
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """1000 spectra in four shards."""
    path = tmp_path_factory.mktemp("set") / "train"
    write_dataset(Stub(), path, 1000, shard_size=300)
    return path


# -- writing -------------------------------------------------------------------------------------------


def test_a_file_opens_with_nothing_but_h5py_and_pandas(folder):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("tables")
    path = folder / "shard-00001.h5"
    with h5py.File(path) as file:
        assert file["spectrumdataset/wave"].shape == (64,)
        assert file["spectrumdataset/wave_edges"].shape == (65,)
        flux, error, mask = (file[f"dataset/arrays/{name}/value"][:] for name in ("flux", "error", "mask"))
    assert flux.shape == error.shape == mask.shape == (300, 64)
    assert np.isfinite(error).all() and not mask.any() and mask.dtype == bool
    np.testing.assert_allclose(np.median(flux, axis=1), 0.5, rtol=1e-6)
    table = pandas.read_hdf(path, key="dataset/params")
    assert tuple(table.columns) == COLUMNS and len(COLUMNS) == 35 and len(table) == 300
    assert table["id"].tolist() == list(range(300, 600))
    pandas.testing.assert_frame_equal(table, pandas.read_hdf(path))
    assert len(pandas.read_hdf(path, where="mag < 21")) == (table["mag"] < 21).sum()


def test_reading_back_gives_what_was_simulated(folder):
    dataset = SpectrumDataset(folder)
    assert len(dataset) == 1000 and dataset.file_sizes == [300, 300, 300, 100]
    assert dataset.grid == Stub.grid and dataset.label_names == LABELS
    batches = [Stub().draw(size, stream=k) for k, size in ((0, 256), (1, 44), (2, 256), (3, 44))]
    noiseless, sigma, ivar, labels = (
        torch.cat([getattr(batch, name) for batch in batches]).numpy()
        for name in ("noiseless", "noiseless_sigma", "ivar", "labels")
    )
    stored = dataset[:600]
    scale = 0.5 / np.median(noiseless, axis=1, keepdims=True)
    np.testing.assert_allclose(stored.flux, noiseless * scale, rtol=3e-7)
    np.testing.assert_allclose(stored.noiseless_sigma, sigma * scale, rtol=3e-7)
    np.testing.assert_allclose(stored.error, scale / np.sqrt(ivar), rtol=3e-7)
    np.testing.assert_array_equal(stored.labels, labels)
    np.testing.assert_allclose(dataset.column("mag")[:256], batches[0].magnitude)
    assert np.isnan(dataset.column("O_M")).all()


def test_no_file_is_held_open_by_hdf5(tmp_path):
    """Its buffers, of megabytes a file, would make memory grow with the number of files."""
    paths = write_dataset(Stub(), tmp_path, 300, shard_size=100)
    dataset = SpectrumDataset(tmp_path)
    batches = iter(dataset.stream(50))
    for _ in range(8):
        next(batches)
    for path in paths:
        with h5py.File(path, "r+"):  # refused while the file is open for reading
            pass
    dataset.close()
    assert len(next(batches)[0]) == len(dataset[7:57]) == 50


def test_rows_of_every_kind(folder):
    dataset = SpectrumDataset(folder)
    everything = dataset[:]
    np.testing.assert_array_equal(dataset[-1].flux, everything.flux[-1])
    np.testing.assert_array_equal(dataset[290:910:7].labels, everything.labels[290:910:7])
    np.testing.assert_array_equal(dataset[[5, 999, 5]].error, everything.error[[5, 999, 5]])
    np.testing.assert_array_equal(dataset[everything.labels[:, 1] > 4].labels[:, 1] > 4, True)
    assert len(dataset[:0]) == 0
    with pytest.raises(IndexError):
        dataset[1000]


def test_labels_are_found_by_name(folder):
    dataset = SpectrumDataset(folder, labels=("logg", "teff"))
    np.testing.assert_array_equal(dataset[:9].labels, SpectrumDataset(folder)[:9].labels[:, [1, 0]])
    assert dataset.label_range["teff"][0] >= 4000
    with pytest.raises(ValueError, match="labels must be among"):
        SpectrumDataset(folder, labels=("gravity",))


def test_a_survey_of_many_instruments_is_refused_before_anything_is_written(tmp_path):
    # each spectrum has a line spread function and pixels of its own, of which a file would say nothing
    with pytest.raises(ValueError, match="survey must be of one instrument"):
        write_dataset(Survey("any"), tmp_path / "any" / "set.h5", 10)
    assert not list(tmp_path.iterdir())


def test_masked_pixels_come_back_without_weight(tmp_path):
    (path,) = write_dataset(Stub(masked=0.2), tmp_path / "one.h5", 100)
    stored = SpectrumDataset(path)[:]
    assert 0.15 < stored.mask.mean() < 0.25
    assert np.isfinite(stored.error).all()
    flux, ivar, _ = next(iter(SpectrumDataset(path).frozen(100)))
    np.testing.assert_array_equal(ivar.numpy() == 0, stored.mask)
    assert flux.isfinite().all()


def test_the_survey_paper_is_written_as_it_is(tmp_path, emulator):
    survey = Survey("paper", seed=5, emulator=emulator)
    write_dataset(survey, tmp_path / "a.h5", 16)
    batch = survey.draw(16)
    dataset = SpectrumDataset(tmp_path / "a.h5")
    scale = 0.5 / np.median(batch.noiseless.numpy(), axis=1, keepdims=True)
    np.testing.assert_allclose(dataset[:].flux, batch.noiseless.numpy() * scale, rtol=1e-6)
    assert dataset.grid == survey.grid
    assert set(dataset.column("exp_count")) == {12} and set(dataset.column("redshift")) == {0}


def test_finished_shards_are_kept_and_damaged_ones_written_again(tmp_path):
    paths = write_dataset(Stub(), tmp_path, 50, shard_size=20)
    before, stamps = content(tmp_path), [path.stat().st_ino for path in paths]
    with h5py.File(paths[1], "r+") as file:
        file["dataset/arrays/flux/value"][3, 4] = 7
    seen = []
    write_dataset(Stub(), tmp_path, 50, shard_size=20, progress=seen.append)
    assert content(tmp_path) == before
    assert [path.stat().st_ino == old for path, old in zip(paths, stamps, strict=True)] == [True, False, True]
    assert [(state.done, state.total) for state in seen] == [(50, 50)]
    assert seen[0].remaining == 0 and seen[0].rate > 0


def test_a_set_does_not_depend_on_the_number_of_threads(tmp_path, monkeypatch):
    threads = torch.get_num_threads()
    for n in (1, 5):
        monkeypatch.setattr("os.sched_getaffinity", lambda pid, n=n: range(n))
        write_dataset(Stub(), tmp_path / str(n), 3000, shard_size=800)
    assert content(tmp_path / "1") == content(tmp_path / "5")
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("width", [1, 2, 7, 64, 4097])
def test_medians_are_those_of_numpy(width):
    values = np.random.default_rng(width).normal(size=(20, width)).astype(np.float32)
    values[:4, width // 3] = np.inf, -np.inf, 0, np.nan
    values[4, : width // 2 + 1] = values[5] = np.nan
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(row_median(values), np.median(values, axis=1))
        expected = [np.median(row[~np.isnan(row)]) if not np.isnan(row).all() else np.nan for row in values]
        np.testing.assert_array_equal(row_nanmedian(values), expected)
    assert row_median(values).dtype == row_nanmedian(values).dtype == np.float32


def test_an_error_of_the_simulation_ends_the_writing(tmp_path):
    class Broken(Stub):
        def draw(self, n, *, stream=0, device="cpu"):
            if stream == 5:
                raise FloatingPointError("stream 5")
            return super().draw(n, stream=stream)

    with pytest.raises(FloatingPointError, match="stream 5"):
        write_dataset(Broken(), tmp_path, 3000, shard_size=800)
    assert [path.name for path in tmp_path.glob("*.h5")] == ["shard-00000.h5"]
    write_dataset(Stub(), tmp_path, 3000, shard_size=800)
    assert len(SpectrumDataset(tmp_path)) == 3000


def test_a_shard_that_another_process_writes_is_left_alone(tmp_path):
    partial = str(tmp_path / ".a.h5.partial")
    code = f"import h5py; file = h5py.File({partial!r}, 'w'); print('open', flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"open\n"
        with pytest.raises(OSError, match="another process is writing"):
            write_dataset(Stub(), tmp_path / "a.h5", 10)
    finally:
        process.communicate(b"\n")


class Moving(Stub):
    """Of another instrument: no magnitudes, radial velocities, air wavelengths, no noise."""

    grid = PixelGrid.linear(5000, 5064, 64, 0.7, medium="air", name="other")

    def draw(self, n, *, stream=0, device="cpu"):
        batch = super().draw(n, stream=stream)
        unknown, velocity = torch.full((n,), torch.nan), torch.linspace(-300, 300, n)
        sigma = torch.zeros_like(batch.noiseless_sigma)
        return SurveyBatch(
            batch.noiseless, batch.ivar, batch.labels, unknown, batch.noiseless, sigma, velocity
        )


def test_a_survey_of_any_instrument_is_kept(tmp_path):
    for _ in range(2):  # and taken up again
        (path,) = write_dataset(Moving(), tmp_path / "a.h5", 50)
    dataset = SpectrumDataset(path)
    assert dataset.grid == Moving.grid and dataset.grid.medium == "air"
    assert np.isnan(dataset.column("mag")).all() and np.isinf(dataset.column("snr")).all()
    np.testing.assert_allclose(dataset.column("redshift") * 299792.458, np.linspace(-300, 300, 50), rtol=1e-6)
    assert np.isnan(dataset.column("seeing")).all() and not dataset.column("exp_count").any()
    for batches in (dataset.stream(50), dataset.frozen(50)):
        flux, ivar, _ = next(iter(batches))
        assert ivar.isfinite().all() and (ivar > 0).all()
    np.testing.assert_array_equal(flux, dataset[:].flux)  # σ is 0


def test_a_survey_with_a_stated_snr_is_kept(tmp_path, emulator):
    simulate = pytest.importorskip("specvit.survey.snrnoise")
    survey = Survey("paper", noise=simulate.SNRNoise((20, 200)), velocity=10.0, emulator=emulator)
    (path,) = write_dataset(survey, tmp_path / "a.h5", 16)
    dataset, batch = SpectrumDataset(path), survey.draw(16)
    ratio = np.median(dataset[:].flux / dataset[:].noiseless_sigma, axis=1)
    np.testing.assert_allclose(dataset.column("snr"), ratio, rtol=1e-5)
    assert 19.9 < ratio.min() < ratio.max() < 200.1
    np.testing.assert_allclose(dataset.column("redshift"), batch.velocity / 299792.458, rtol=1e-6)


def test_progress_is_shown(tmp_path, capsys):
    write_dataset(Stub(), tmp_path / "a.h5", 300, progress=True)
    assert "256/300 spectra" in capsys.readouterr().err
    write_dataset(Stub(), tmp_path / "b.h5", 300)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("change", [{"survey": Stub(1)}, {"n": 51}, {"shard_size": 25}, {"first_stream": 9}])
def test_another_set_is_not_mixed_in(tmp_path, change):
    arguments = {"survey": Stub(), "path": tmp_path, "n": 50, "shard_size": 20}
    write_dataset(**arguments)
    with pytest.raises(ValueError, match=r"shard-00000\.h5: belongs to another data set"):
        write_dataset(**(arguments | change))


def test_a_foreign_file_is_not_overwritten(tmp_path):
    (tmp_path / "shard-00000.h5").write_text("my notes")
    with pytest.raises(ValueError, match=r"shard-00000\.h5: in the way"):
        write_dataset(Stub(), tmp_path, 50)
    assert (tmp_path / "shard-00000.h5").read_text() == "my notes"


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10, 10, 1000))
    with pytest.raises(OSError, match="GB free"):
        write_dataset(Stub(), tmp_path, 1000)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", [{"n": 0}, {"n": 5, "shard_size": 0}])
def test_sizes_must_be_positive(tmp_path, bad):
    with pytest.raises(ValueError, match="at least 1"):
        write_dataset(Stub(), tmp_path, **bad)


def killed_and_resumed(path, moments):
    """Write 20 shards in a process of its own that is killed at each of `moments`, then to the end."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_dataset as t\n"
        "from specvit.dataset import SpectrumDataset; import h5py; print('go', flush=True)\n"
        f"t.write_dataset(t.Stub(delay=0.02), {str(path)!r}, 20 * 300, shard_size=300)"
    )
    found = []
    for moment in moments:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"go\n"
        time.sleep(moment)
        process.kill()
        process.communicate()
        found.append(len(list(path.glob("shard-*.h5"))))
        SpectrumDataset(path) if found[-1] else None  # what is there is whole
    write_dataset(Stub(), path, 20 * 300, shard_size=300)
    return found


@pytest.mark.parametrize(
    "moments", [(0.5,), pytest.param(10, marks=pytest.mark.slow)], ids=["one", "ten at random"]
)
def test_a_killed_run_is_taken_up_to_the_same_end(tmp_path, moments):
    if moments == 10:
        rng = random.Random(3)
        moments = [rng.uniform(0, 0.4) for _ in range(10)]
    write_dataset(Stub(), tmp_path / "whole", 20 * 300, shard_size=300)
    killed_and_resumed(tmp_path / "killed", moments)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    assert not [p for p in (tmp_path / "killed").iterdir() if p.suffix != ".h5"]


# -- files of others -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", ["table", "fixed"])
@pytest.mark.parametrize("key", ["dataset/params", "params"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mask", [False, True])
def test_variants_of_the_reference_are_read(tmp_path, fmt, key, dtype, mask):
    table = foreign(tmp_path / "a.h5", dtype=dtype, key=key, mask=mask, fmt=fmt)
    dataset = SpectrumDataset(tmp_path / "a.h5")
    stored = dataset[:]
    expected = table[["T_eff", "log_g", "M_H", "a_M", "C_M"]].to_numpy(np.float32)
    np.testing.assert_array_equal(stored.labels, expected)
    assert stored.flux.dtype == np.float32 and stored.error is None and dataset.grid is None
    assert stored.mask.any() == mask
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(stored.flux, file["dataset/arrays/flux/value"][:].astype(np.float32))
    assert SpectrumDataset(tmp_path / "a.h5", grid=Stub.grid).grid == Stub.grid


def test_data_columns_of_pandas_are_read(tmp_path):
    pandas = pytest.importorskip("pandas")
    table = foreign(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["dataset/params"]
    table.to_hdf(tmp_path / "a.h5", key="dataset/params", format="table", data_columns=True)
    np.testing.assert_array_equal(SpectrumDataset(tmp_path / "a.h5").column("log_g"), table["log_g"])
    assert isinstance(table, pandas.DataFrame)


def test_a_noiseless_error_is_never_handed_on(tmp_path):
    """σ of the reference's files tells the label; what a network gets must depend on the noisy flux alone."""
    foreign(tmp_path / "a.h5", n=2000)
    dataset = SpectrumDataset(tmp_path / "a.h5")
    flux, ivar, _ = next(iter(dataset.frozen(2000)))
    error = ivar.rsqrt()
    relative = error / error.median(1, keepdim=True).values
    assert (relative - relative[0]).abs().max() < 1e-5  # one shape for all: no line of the star in it
    ratio = (error / torch.from_numpy(dataset[:].noiseless_sigma)).median()
    assert 0.9 < ratio < 1.15
    again = next(iter(dataset.frozen(2000, seed=1)))[1]
    assert not torch.equal(again, ivar)
    assert flux.isfinite().all()


def unsealed(path):
    """Make a file as of another program, which writes neither seal nor checksums."""
    plain = path.with_suffix(".plain")
    with h5py.File(path) as old, h5py.File(plain, "w") as new:
        for name in old:
            old.copy(name, new)
        new.attrs.update(old.attrs)
        del new["dataset"].attrs["specvit"]
    plain.replace(path)


def damage(change):
    def do(path):
        with h5py.File(path, "r+") as file:
            change(file)

    return do


def replace(key, value):
    def change(file):
        old = file[key][:]
        del file[key]
        file[key] = value(old)

    return damage(change)


def put(key, value):
    def change(file):
        file[key][2, 3] = value

    return damage(change)


def spoil_table(file):
    table = file["dataset/params/table"]
    rows = table[:]
    rows["log_g"][4] = np.nan
    table[:] = rows


def evil(file):
    class Evil:
        def __reduce__(self):
            return (print, ("code from a file",))

    rows = np.zeros(100, [("index", "i8"), ("values_block_0", "f8", (5,))])
    del file["dataset/params/table"]
    file["dataset/params/table"] = rows
    file["dataset/params/table"].attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(Evil(), 0))


FLUX, ERROR, WAVE = "dataset/arrays/flux/value", "dataset/arrays/error/value", "spectrumdataset/wave"
HOSTILE = {
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]), "truncated"),
    "empty": (lambda p: p.write_bytes(b""), "not an HDF5 file"),
    "text": (lambda p: p.write_text("SIMPLE  = T" * 400), "not an HDF5 file"),
    "no flux": (damage(lambda f: f.__delitem__("dataset/arrays/flux")), FLUX),
    "no table": (damage(lambda f: f.__delitem__("dataset/params")), "it has none"),
    "flux of text": (replace(FLUX, lambda a: a.astype("S8")), FLUX),
    "flux of one dimension": (replace(FLUX, lambda a: a[0]), FLUX),
    "short error": (replace(ERROR, lambda a: a[:-1]), ERROR),
    "narrow error": (replace(ERROR, lambda a: a[:, 1:]), ERROR),
    "narrow wave": (replace(WAVE, lambda a: a[1:]), WAVE),
    "falling edges": (replace(WAVE + "_edges", lambda a: a[::-1]), WAVE + "_edges"),
    "wave elsewhere": (replace(WAVE, lambda a: a + 5), "must lie between"),
    "wrong mask": (replace("dataset/arrays/mask/value", lambda a: a[:5]), "mask"),
    "short table": (replace("dataset/params/table", lambda a: a[:-1]), "99 rows"),
    "no log g": (replace("dataset/params/table", lambda a: a[["index", "T_eff", "M_H"]]), "log_g"),
    "no fields": (replace("dataset/params/table", lambda a: a["T_eff"]), "not a table written by pandas"),
    "code in a pickle": (damage(evil), "not a plain value"),
    "NaN flux": (put(FLUX, np.nan), r"flux/value' must be finite.* row 2, pixel 3"),
    "infinite flux": (put(FLUX, np.inf), r"flux/value' must be finite.* row 2, pixel 3"),
    "NaN error": (put(ERROR, np.nan), r"error/value' must be finite and positive.* row 2, pixel 3"),
    "negative error": (put(ERROR, -1), r"error/value' must be finite and positive.* row 2, pixel 3"),
    "NaN label": (damage(spoil_table), "'log_g' is nan in row 4"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_named(tmp_path, case):
    change, message = HOSTILE[case]
    (path,) = write_dataset(Stub(), tmp_path / "bad.h5", 100)
    unsealed(path)
    change(path)
    with pytest.raises(ValueError, match=rf"bad\.h5: .*{message}"):
        for _ in itertools.islice(SpectrumDataset(path).stream(50), 2):
            pass


def test_a_bad_value_under_the_mask_does_no_harm(tmp_path):
    (path,) = write_dataset(Stub(masked=0.1), tmp_path / "a.h5", 100)
    unsealed(path)
    with h5py.File(path, "r+") as file:
        for key in (FLUX, ERROR, "dataset/arrays/error_noiseless/value"):
            file[key][2, 3] = np.nan
        file["dataset/arrays/mask/value"][2, 3] = True
    flux, ivar, _ = next(iter(SpectrumDataset(path).frozen(100)))
    assert flux.isfinite().all() and ivar.isfinite().all() and ivar[2, 3] == 0


def test_files_must_be_there_and_fit_together(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        SpectrumDataset(tmp_path / "none.h5")
    with pytest.raises(FileNotFoundError, match=r"has no \.h5"):
        SpectrumDataset(tmp_path)
    write_dataset(Stub(), tmp_path / "a.h5", 10)
    foreign(tmp_path / "b.h5", p=32)
    with pytest.raises(ValueError, match=r"b\.h5: 'spectrumdataset/wave_edges' differ"):
        SpectrumDataset(tmp_path)
    foreign(tmp_path / "b.h5")
    with pytest.raises(ValueError, match=r"b\.h5: .*error_noiseless.* must be in all"):
        SpectrumDataset([tmp_path / "a.h5", tmp_path / "b.h5"])
    with pytest.raises(ValueError, match="not those of the grid"):
        SpectrumDataset(tmp_path / "a.h5", grid=PixelGrid.linear(1, 2, 64, 1.0))


# -- batches -------------------------------------------------------------------------------------------


def epoch(stream, first=0):
    stream.set_step(first)
    return list(itertools.islice(stream, len(stream)))


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [7, 64, 999])
def test_an_epoch_covers_every_spectrum_once_across_ranks(folder, world_size, batch_size):
    dataset = SpectrumDataset(folder)
    expected = np.sort(dataset[:].labels[:, 0])
    seen = []
    for turn in range(2):
        rows = []
        for rank in range(world_size):
            stream = dataset.stream(batch_size, rank=rank, world_size=world_size, buffer_rows=200)
            batches = epoch(stream, turn * len(stream))
            assert all(1 <= len(batch[0]) <= batch_size for batch in batches)
            rows.append(torch.cat([batch[2][:, 0] for batch in batches]).numpy())
        sizes = [len(part) for part in rows]
        assert max(sizes) - min(sizes) <= 1
        seen.append(np.concatenate(rows))
        np.testing.assert_array_equal(np.sort(seen[-1]), expected)
    assert (seen[0] != seen[1]).mean() > 0.9


@pytest.fixture
def rows_read(monkeypatch):
    """Rows that are read of any file: list of (file name, row)."""
    seen, read = [], ShardFile.read

    def recorded(self, rows, places, out):
        seen.extend((self.path.name, row) for row in rows.tolist())
        return read(self, rows, places, out)

    monkeypatch.setattr(ShardFile, "read", recorded)
    return seen


def test_each_part_of_a_stream_reads_what_is_its_own(folder, rows_read):
    dataset, parts = SpectrumDataset(folder), []
    whole = dataset.stream(50, seed=2, buffer_rows=1000)
    for rank in range(3):
        part = whole.part(rank, 3)
        same = dataset.stream(50, seed=2, buffer_rows=1000, rank=rank, world_size=3)
        assert len(part) == len(same) == 7
        for batch, expected in zip(epoch(part), epoch(same), strict=True):
            assert all(torch.equal(a, b) for a, b in zip(batch, expected, strict=True))
        del rows_read[:]
        number = sum(len(batch[0]) for batch in epoch(part))
        parts.append(set(rows_read[:number]))  # what follows is read ahead for the next epoch
        assert len(parts[-1]) == number in (333, 334)
    assert len(set().union(*parts)) == 1000


@pytest.mark.parametrize("size, n", [(0.2, 200), (0.5, 500), (100, 100), (7, 7), (999, 999)])
def test_a_split_is_a_partition(folder, size, n):
    dataset = SpectrumDataset(folder)
    whole = dataset[:].labels[:, 0]
    train, validation = dataset.split(size, seed=3)
    assert (len(train), len(validation)) == (1000 - n, n)
    parts = [part[:].labels[:, 0] for part in (train, validation)]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.sort(whole))
    for part, labels in zip((train, validation), parts, strict=True):
        np.testing.assert_array_equal(part.read_labels()[:, 0], labels)
        shuffled = torch.cat([batch[2][:, 0] for batch in epoch(part.stream(64, buffer_rows=128))]).numpy()
        np.testing.assert_array_equal(np.sort(shuffled), np.sort(labels))
        assert part.label_range["teff"] == (labels.min(), labels.max())
        assert sum(part.file_sizes) == len(part)
    again, other = dataset.split(size, seed=3)[1], dataset.split(size, seed=4)[1]
    np.testing.assert_array_equal(again.column("T_eff").astype(np.float32), parts[1])
    if n <= 500:
        assert set(other.column("id")) != set(again.column("id"))


def test_held_out_spectra_are_spread_and_not_read_in_training(folder, rows_read):
    train, validation = SpectrumDataset(folder).split(0.2)
    assert min(validation.file_sizes) >= 0.15 * 100 and max(validation.file_sizes) <= 0.25 * 300
    held_out = {(f"shard-{row // 300:05d}.h5", row % 300) for row in validation.column("id").astype(int)}
    epoch(train.stream(50))
    assert len(set(rows_read)) == 800 and not held_out & set(rows_read)
    del rows_read[:]
    list(validation.frozen(64))
    assert set(rows_read) == held_out
    assert repr(validation) == "SpectrumDataset(200 of 1000 spectra of 64 pixels in 4 files)"


def test_a_part_of_a_split_has_the_noise_of_the_whole(folder):
    dataset = SpectrumDataset(folder)
    part = dataset.split(0.5)[0].split(0.3)[1]
    rows = part.column("id").astype(int)
    whole = torch.cat([batch[0] for batch in dataset.frozen(100)])
    assert torch.equal(torch.cat([batch[0] for batch in part.frozen(64)]), whole[rows])


@pytest.mark.parametrize("size", [0, 1000, 0.0, 1.0, -0.1, 5.0])
def test_both_parts_of_a_split_need_spectra(folder, size):
    if size == 5.0:
        size = 5000
    with pytest.raises(ValueError, match="validation must be a fraction or a number"):
        SpectrumDataset(folder).split(size)


def test_files_in_chunks_are_streamed(tmp_path):
    foreign(tmp_path / "a.h5", n=300, mask=True)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        for key in (FLUX, ERROR, "dataset/arrays/mask/value"):
            values = file[key][:]
            del file[key]
            file.create_dataset(key, data=values, chunks=(20, 64), compression="gzip")
    dataset = SpectrumDataset(tmp_path / "a.h5")
    expected = dict(zip(dataset[:].labels[:, 0].tolist(), dataset[:].flux, strict=True))
    for flux, _, labels in epoch(dataset.stream(32, noise_level=0, buffer_rows=64)):
        for row, teff in zip(flux.numpy(), labels[:, 0].tolist(), strict=True):
            np.testing.assert_array_equal(row, expected.pop(teff))
    assert not expected


def test_a_step_can_be_set_between_two_batches(folder):
    dataset = SpectrumDataset(folder)
    straight = list(itertools.islice(dataset.stream(96, buffer_rows=200), 20))
    stream = dataset.stream(96, buffer_rows=200)
    batches = iter(stream)
    for step in (0, 1, 15, 3, 4, 5, 6, 0):
        stream.set_step(step)
        assert torch.equal(next(batches)[0], straight[step][0])


def test_the_order_is_shuffled_within_and_between_blocks(folder):
    dataset = SpectrumDataset(folder)
    number = {teff: k for k, teff in enumerate(dataset[:].labels[:, 0].tolist())}
    batches = epoch(dataset.stream(100, buffer_rows=500))
    order = np.array([number[teff] for batch in batches for teff in batch[2][:, 0].tolist()])
    assert (np.abs(np.diff(order)) == 1).mean() < 0.05
    assert len(set(order[:100] // 64)) > 4


def test_a_stream_is_taken_up_exactly(folder):
    dataset = SpectrumDataset(folder)
    straight = list(itertools.islice(dataset.stream(96, seed=4, buffer_rows=300), 25))
    resumed = dataset.stream(96, seed=4, buffer_rows=300)
    resumed.set_step(17)
    for batch, expected in zip(itertools.islice(resumed, 8), straight[17:], strict=True):
        for values, others in zip(batch, expected, strict=True):
            assert torch.equal(values, others)


def test_noise_is_fresh_in_a_stream_and_frozen_in_a_test(folder):
    dataset = SpectrumDataset(folder)
    stored = dataset[:]
    flux = torch.cat([batch[0] for batch in dataset.frozen(300)]).numpy()
    again = torch.cat([batch[0] for batch in dataset.frozen(77)]).numpy()
    np.testing.assert_array_equal(flux, again)
    assert (flux != torch.cat([b[0] for b in dataset.frozen(300, seed=1)]).numpy()).mean() > 0.99
    scatter = (flux - stored.flux) / stored.noiseless_sigma
    assert abs(scatter.mean()) < 0.02 and abs(scatter.var() - 1) < 0.03
    by_label = [
        {row[0].item(): values for values, row in zip(batch[0], batch[2], strict=True)}
        for batch in itertools.islice(dataset.stream(1000), 2)
    ]
    assert by_label[0].keys() == by_label[1].keys()
    assert not any(torch.equal(values, by_label[1][key]) for key, values in by_label[0].items())


def test_the_noise_level_scales_noise_and_errors(folder):
    dataset = SpectrumDataset(folder)
    stored = dataset[:]
    flux, ivar, _ = next(iter(dataset.frozen(1000, noise_level=2.0)))
    scatter = (flux.numpy() - stored.flux) / stored.noiseless_sigma
    assert abs(scatter.std() - 2) < 0.03
    np.testing.assert_allclose(ivar.rsqrt(), 2 * stored.error, rtol=1e-5)
    flux, ivar, _ = next(iter(dataset.frozen(1000, noise_level=0)))
    np.testing.assert_array_equal(flux, stored.flux)
    np.testing.assert_allclose(ivar.rsqrt(), stored.error, rtol=1e-5)


def test_a_dataset_goes_to_another_process(folder):
    dataset = SpectrumDataset(folder)
    copy = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(copy[700].flux, dataset[700].flux)
    assert repr(copy) == "SpectrumDataset(1000 spectra of 64 pixels in 4 files)"


@pytest.mark.parametrize(
    "bad",
    [
        {"batch_size": 0},
        {"batch_size": 4, "rank": 2, "world_size": 2},
        {"batch_size": 4, "noise_level": -1},
        {"batch_size": 4, "world_size": 1001},
        {"batch_size": 1, "world_size": 3},
    ],
)
def test_parameters_of_a_stream_are_checked(folder, bad):
    with pytest.raises(ValueError):
        SpectrumDataset(folder).stream(**bad)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_set(tmp_path):
    peaks = []
    for n in (10_000, 100_000):
        path = tmp_path / str(n)
        write_dataset(Stub(), path, 512, shard_size=512)  # imports and caches
        tracemalloc.start()
        write_dataset(Stub(), path / "set", n, shard_size=5000)
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        dataset = SpectrumDataset(path / "set")
        assert len(dataset.label_range) == 5
        for _ in itertools.islice(dataset.stream(256), n // 256):
            pass
        peaks.append((written, tracemalloc.get_traced_memory()[1]))
        tracemalloc.stop()
    small, large = np.array(peaks)
    # Labels of the open files are kept, 20 bytes a spectrum of at most 64 files, and 3 that say which rows
    # are sound; spectra are not, 770 bytes. From one window to the next, 1 MB is taken for a moment.
    assert (large < 1.1 * small + [500_000, 1_500_000 + 25 * 90_000]).all()
