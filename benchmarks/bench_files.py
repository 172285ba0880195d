"""Files through ``specvit predict``'s stream: against ``Spectrum.read`` and the bare network in the same run.

The answers are compared with those of the bare network on the same spectra. Times are those of the stream
over all files, some of them broken, and of the two things that cannot be avoided, specutils' reading and the
network, one after the other, on half of the files before the stream and on half behind it, so that both see
the same machine; CPU seconds too, which other work on it does not stretch. Memory is the largest of a fresh
process for each number of files::

    python benchmarks/bench_files.py --files 2000 --broken 20 --more 8000
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from astropy.table import Table


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000, help="number of files")
    parser.add_argument("--broken", type=int, default=20, help="how many of them cannot be read")
    parser.add_argument("--more", type=int, default=0, help="another number, for the memory alone")
    parser.add_argument("--workers", type=int, default=1, help="threads that read, or processes if above 1")
    parser.add_argument("--stream", nargs=3, metavar=("FOLDER", "TABLE", "N"), help=argparse.SUPPRESS)
    return parser.parse_args()


def write_files(folder, n):
    """Simulated stars as FITS tables."""
    from specvit import PFS_MR, Survey

    survey, paths = Survey("paper"), []
    for start in range(0, n, 256):
        batch = survey.draw(min(256, n - start), stream=start // 256)
        for flux, ivar in zip(np.asarray(batch.flux), np.asarray(batch.ivar), strict=True):
            paths.append(folder / f"star{len(paths):05d}.fits")
            table = Table({"wave": PFS_MR.wave, "flux": flux, "ivar": ivar})
            table["wave"].unit, table["flux"].unit = "Angstrom", "erg / (s cm2 Angstrom)"
            table.write(paths[-1])
    return paths


def stream(folder, output, n, workers=1):
    """The stream over the first n files; wall and CPU seconds, peak memory in MB."""
    from specvit import LoggEstimator, predict_stream

    paths = sorted(Path(folder).glob("*.fits"))[: int(n)]
    estimator = LoggEstimator(device="cpu")
    estimator.predict_table(np.ones((1, 4096)), on_error="nan")  # weights are loaded once
    started, used = time.perf_counter(), time.process_time()
    options = {"workers": workers, "processes": workers > 1}
    predict_stream(paths, output, estimator, overwrite=True, progress=False, **options)
    seconds, used = time.perf_counter() - started, time.process_time() - used
    return seconds, used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _clocks():
    return np.array([time.perf_counter(), time.process_time()])


def unavoidable(paths):
    """Wall and CPU seconds of `Spectrum.read`, the same of the bare network on what it read, and log g."""
    from specutils import Spectrum

    from specvit import LoggEstimator
    from specvit.predictors.networkarrays import predict_arrays
    from specvit.spectra import adapt
    from specvit.weights import load_weights

    regressor, grid, _ = load_weights(LoggEstimator().weights)
    reading, network = np.zeros(2), np.zeros(2)
    found = []
    for start in range(0, len(paths), 256):
        began = _clocks()
        spectra = [Spectrum.read(path) for path in paths[start : start + 256]]
        reading += _clocks() - began
        batch = adapt(spectra, grid=grid, lower_resolution="flag", min_coverage=0.05)  # not timed
        began = _clocks()
        mean, _ = predict_arrays(regressor, batch.flux, batch.ivar, batch.lsf, batch.sampling)
        network += _clocks() - began
        found.append(mean[:, regressor.label_names.index("logg")])
    return reading, network, np.concatenate(found)


def in_fresh_process(folder, output, n, workers):
    command = [sys.executable, __file__, "--workers", str(workers)]
    command += ["--stream", str(folder), str(output), str(n)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return tuple(map(float, done.stdout.split()[-3:]))


def main():
    args = parse_arguments()
    warnings.simplefilter("ignore")
    if args.stream:
        print(*stream(*args.stream, workers=args.workers))
        return
    from specvit.predictors import read_table

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "stars"
        folder.mkdir()
        paths = write_files(folder, max(args.files, args.more))
        step = args.files // args.broken
        for k in range(args.broken):
            path = paths[k * step]
            path.write_bytes(
                (b"", path.read_bytes()[:4000], b"SIMPLE  =   T / no more", b"no stars\n")[k % 4]
            )
        damaged = set(paths[: args.broken * step : step])
        whole = [path for path in paths[: args.files] if path not in damaged]
        output = Path(name) / "labels.ecsv"
        half = len(whole) // 2
        before = unavoidable(whole[:half])
        seconds, used, memory = in_fresh_process(folder, output, args.files, args.workers)
        behind = unavoidable(whole[half:])
        reading, network = before[0] + behind[0], before[1] + behind[1]
        expected = np.concatenate([before[2], behind[2]])
        table = read_table(output)

        logg, reasons = table["logg"].value, table["error"] != ""
        assert table["file"].tolist() == [str(path) for path in paths[: args.files]]
        assert reasons.sum() == args.broken and np.isnan(logg).sum() == args.broken
        largest = np.abs(logg[~reasons] - expected).max()
        assert largest < 1e-4, largest
        print(f"{len(whole)} answers and {args.broken} reasons; log g as the bare network's to {largest:.1g}")
        bare = reading + network
        for what, k, taken in (("wall", 0, seconds), ("CPU", 1, used)):
            print(
                f"{what} seconds: Spectrum.read {reading[k]:.1f} + network {network[k]:.1f} = {bare[k]:.1f}; "
                f"stream {taken:.1f}, {taken / bare[k]:.2f} times that"
            )
        print(f"{args.files / seconds:.1f} files/s, peak memory {memory:.0f} MB for {args.files} files")
        if args.more:
            seconds, used, memory = in_fresh_process(folder, output, args.more, args.workers)
            print(f"{args.more / seconds:.1f} files/s, peak memory {memory:.0f} MB for {args.more} files")


if __name__ == "__main__":
    main()
