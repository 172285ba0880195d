"""Spectra in one HDF5 file: streamed in one process, with Dask on two, and a HATS catalogue through LSDB.

All give the numbers of `predict_table`, which is checked first. The rate of the stream stands beside that of
the bare network on the same arrays, timed before and behind it in the same run. Memory is the largest of a
fresh process, for all spectra and for a quarter of them::

    python benchmarks/bench_streams.py --spectra 20000 --stars 200
    python benchmarks/bench_streams.py --spectra 20000 --predictor ridge    # memory alone, in minutes

Dask and LSDB are left out where they are not installed.
"""

import argparse
import importlib.util
import pickle
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=int, default=20_000, help="in the HDF5 file")
    parser.add_argument("--stars", type=int, default=200, help="in the HATS catalogue")
    parser.add_argument("--predictor", default="network", choices=["network", "ridge"])
    parser.add_argument("--part", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    return parser.parse_args()


def write_arrays(folder, n):
    """Simulated stars on the grid, in chunks of rows; a ridge regression learns from the first.

    After a thousand the same stars come again, each time 1 % brighter.
    """
    import h5py

    from specvit import Survey
    from specvit.predictors import RidgeEstimator

    survey = Survey("paper")
    batch = survey.draw(min(1000, n), magnitude=19.0)
    drawn, weight = np.asarray(batch.flux, np.float32), np.asarray(batch.ivar, np.float32)
    with h5py.File(folder / "stars.h5", "w") as file:
        shape = {"shape": (n, 4096), "dtype": "f4", "chunks": (min(64, n), 4096)}
        flux, ivar = (file.create_dataset(name, **shape) for name in ("flux", "ivar"))
        for k, start in enumerate(range(0, n, 1000)):
            some, rows = slice(start, min(start + 1000, n)), slice(0, min(1000, n - start))
            scale = np.float32(1.01**k)
            flux[some], ivar[some] = drawn[rows] * scale, weight[rows] / scale**2
    logg = np.asarray(batch.labels)[:, list(survey.label_names).index("logg")]
    ridge = RidgeEstimator().fit(drawn[:500], logg[:500], ivar=weight[:500])
    (folder / "ridge.pickle").write_bytes(pickle.dumps(ridge))


def predictor_of(folder, kind):
    from specvit import LoggEstimator

    if kind == "ridge":
        return pickle.loads((Path(folder) / "ridge.pickle").read_bytes())
    return LoggEstimator(device="cpu")


def peak():
    """Largest memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def some_rows(path, start, stop):
    """Rows of the file, read where they are predicted."""
    import h5py

    with h5py.File(path) as file:
        return file["flux"][start:stop], file["ivar"][start:stop]


def stream(args, folder, predictor):
    """Seconds and rows of the stream, and seconds of the bare network before and behind it."""
    from specvit import predict_stream

    bare = bare_network(folder, args.predictor, half=0)
    began, used = time.perf_counter(), time.process_time()
    done = predict_stream(folder / "stars.h5", folder / "labels.fits", predictor, overwrite=True)
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    bare += bare_network(folder, args.predictor, half=1)
    return f"{done.rows} {seconds} {cpu} {bare[0] + bare[2]} {bare[1] + bare[3]} {peak()}"


def bare_network(folder, kind, half):
    """Wall and CPU seconds of the network on a half of the spectra."""
    import h5py

    from specvit import LoggEstimator
    from specvit.predictors.networkarrays import predict_arrays
    from specvit.weights import load_weights

    if kind != "network":
        return [0.0, 0.0]
    regressor, _, _ = load_weights(LoggEstimator().weights)
    total = [0.0, 0.0]
    with h5py.File(folder / "stars.h5") as file:
        n = len(file["flux"])
        rows = range(half * n // 2, (half + 1) * n // 2, 256)
        for start in rows:
            some = slice(start, min(start + 256, rows.stop))
            flux, ivar = (file[name][some].astype(float) for name in ("flux", "ivar"))
            zeros = np.zeros(flux.shape, np.float32)
            began, used = time.perf_counter(), time.process_time()
            predict_arrays(regressor, flux, ivar, zeros, zeros)
            total = [
                t + x
                for t, x in zip(total, (time.perf_counter() - began, time.process_time() - used), strict=True)
            ]
    return total


def with_dask(args, folder, predictor):
    """Two processes, each with its rows; log g must be that of the stream."""
    import dask
    import dask.array as da
    from astropy.table import Table
    from dask.distributed import Client

    from specvit.stream import predict_dask

    path, n = folder / "stars.h5", len(Table.read(folder / "labels.fits"))
    step = 512
    pieces = [(k, min(k + step, n)) for k in range(0, n, step)]
    both = [dask.delayed(some_rows)(path, *piece) for piece in pieces]
    flux, ivar = (
        da.concatenate(
            [da.from_delayed(x[i], (b - a, 4096), np.float32) for x, (a, b) in zip(both, pieces, strict=True)]
        )
        for i in (0, 1)
    )
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        began = time.perf_counter()
        frame = predict_dask(flux, predictor, ivar=ivar).compute()
        seconds = time.perf_counter() - began
        memory = max(client.run(peak).values())
    expected = Table.read(folder / "labels.fits")["logg"]
    off = np.abs(frame["logg"].to_numpy() - np.asarray(expected)).max()
    assert len(frame) == n and off < 1e-4, off
    return f"{len(frame)} {seconds} {off} {memory}"


def with_lsdb(args, folder, predictor):
    """A small catalogue of nested spectra; log g must be that of the stream."""
    import lsdb
    import nested_pandas
    import pandas as pd
    from astropy.table import Table

    from specvit import PFS_MR
    from specvit.stream import predict_lsdb

    n = args.stars
    flux, ivar = some_rows(folder / "stars.h5", 0, n)
    stars = nested_pandas.NestedFrame(
        {"star": range(n), "ra": np.linspace(0, 359, n), "dec": np.linspace(-80, 80, n)}
    )
    pixels = pd.DataFrame(
        {"wave": np.tile(PFS_MR.wave, n), "flux": flux.ravel(), "ivar": ivar.ravel()},
        index=np.repeat(np.arange(n), 4096),
    )
    made = lsdb.from_dataframe(stars.join_nested(pixels, "spectrum"), ra_column="ra", dec_column="dec")
    made.write_catalog(folder / "hats", catalog_name="stars", progress_bar=False)
    catalog = lsdb.open_catalog(folder / "hats")
    began = time.perf_counter()
    options = {"resolution": PFS_MR.resolving_power} if args.predictor == "network" else {}
    frame = predict_lsdb(catalog, predictor, **options).compute(progress_bar=False).sort_values("star")
    seconds = time.perf_counter() - began
    expected = np.asarray(Table.read(folder / "labels.fits")["logg"][:n])
    off = np.abs(frame["logg"].to_numpy() - expected).max()
    assert len(frame) == n and not (frame["error"] != "").any()
    return f"{n} {seconds} {off} {peak()}"


PARTS = {"stream": stream, "dask": with_dask, "lsdb": with_lsdb}


def in_fresh_process(args, kind, folder):
    command = [sys.executable, __file__, "--predictor", args.predictor, "--stars", str(args.stars)]
    done = subprocess.run(
        [*command, "--part", kind, str(folder)], check=True, stdout=subprocess.PIPE, text=True
    )
    return [float(word) for word in done.stdout.strip().splitlines()[-1].split()]


def main():
    args = parse_arguments()
    warnings.simplefilter("ignore")
    if args.part:
        kind, folder = args.part
        print(PARTS[kind](args, Path(folder), predictor_of(folder, args.predictor)))
        return
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / "quarter", Path(name) / "all"]
        memory = []
        for folder, n in zip(folders, (args.spectra // 4, args.spectra), strict=True):
            folder.mkdir()
            write_arrays(folder, n)
            rows, seconds, cpu, bare, bare_cpu, used = in_fresh_process(args, "stream", folder)
            memory.append(used)
            print(f"stream of {rows:.0f}: {rows / seconds:.1f} a second, peak {used:.0f} MB", end="")
            if bare:
                print(
                    f"; bare network {rows / bare:.1f} a second, the stream takes {seconds / bare:.2f}",
                    end="",
                )
                print(f" times that, in CPU seconds {cpu / bare_cpu:.2f}", end="")
            print(flush=True)
        for kind, needs in (("dask", "distributed"), ("lsdb", "lsdb")):
            if importlib.util.find_spec(needs) is None:
                print(f"{kind}: not installed")
                continue
            rows, seconds, off, used = in_fresh_process(args, kind, folders[1])
            print(
                f"{kind}: {rows:.0f} at {rows / seconds:.1f} a second, log g to {off:.1g}, peak {used:.0f} MB"
            )


if __name__ == "__main__":
    main()
