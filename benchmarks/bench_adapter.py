"""Spectra of specutils on their way to the network: what `adapt` costs, beside the network itself.

First some are compared with specutils' FluxConservingResampler. Then CPU seconds are taken, in turns, of
bringing all to the grid and of the network on what came out; `predict`, which does both and looks for alarms,
follows. Its peak memory on arrays is that of a fresh process::

    python benchmarks/bench_adapter.py --spectra 1000 --pixels 10000
    python benchmarks/bench_adapter.py --memory 16000     # arrays of 4,096 pixels
"""

import argparse
import resource
import time
import warnings

import numpy as np

from specvit import PFS_MR, LoggEstimator
from specvit.survey import Survey

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--spectra", type=int, default=1000)
parser.add_argument("--pixels", type=int, default=10_000)
parser.add_argument("--repeats", type=int, default=3)
parser.add_argument("--memory", type=int, metavar="N", help="only the peak memory of predict over N arrays")
arguments = parser.parse_args()
warnings.simplefilter("ignore")


def stars(n):
    """Flux and inverse variance of stars on the grid, again and again the same 250."""
    batch = Survey("paper", seed=0).draw(min(n, 250), magnitude=20.5)
    return (np.resize(x.numpy(), (n, len(PFS_MR))) for x in (batch.flux, batch.ivar))


def cpu_seconds(call):
    start = time.process_time()
    call()
    return time.process_time() - start


def memory(n):
    """Print the largest resident memory before and after `predict` over n arrays, in MB."""
    flux, ivar = stars(n)
    estimator = LoggEstimator(device="cpu")

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6  # in KiB on Linux

    before = peak()
    estimator.predict(flux, ivar=ivar)
    size = (flux.nbytes + ivar.nbytes) / 1e6
    print(f"{n} arrays of {size:.0f} MB: {before:.0f} MB before, {peak():.0f} MB at most in predict")


def main():
    from astropy import units as u
    from astropy.nddata import InverseVariance
    from specutils import Spectrum
    from specutils.manipulation import FluxConservingResampler

    from specvit.spectra import adapt

    # Wavelengths of an instrument of finer pixels, as sharp as the grid: nothing but rebinning is to be done.
    wave = np.linspace(PFS_MR.edges[0] - 20, PFS_MR.edges[-1] + 20, arguments.pixels)
    known = {"medium": "vacuum", "resolution": np.interp(wave, PFS_MR.wave, PFS_MR.resolving_power)}
    spectra = [
        Spectrum(
            np.interp(wave, PFS_MR.wave, f) * u.one,
            wave * u.AA,
            uncertainty=InverseVariance(np.interp(wave, PFS_MR.wave, i)),
            meta=known,
        )
        for f, i in zip(*stars(arguments.spectra), strict=True)
    ]
    estimator = LoggEstimator(device="cpu")
    rules = {"grid": PFS_MR, "lower_resolution": "flag"}
    batch = adapt(spectra, **rules)
    for spectrum, flux in zip(spectra[:3], batch.flux, strict=False):
        theirs = FluxConservingResampler()(spectrum, PFS_MR.wave * u.AA).flux.value
        middle = slice(3, -3)  # where both have whole pixels
        np.testing.assert_allclose(flux[middle], theirs[middle], rtol=1e-6)
    print("validated: flux as specutils' FluxConservingResampler")
    arrays = batch.flux, batch.ivar, batch.lsf, batch.sampling
    entries = {
        "adapt": lambda: adapt(spectra, **rules),
        "network alone": lambda: estimator._infer(*arrays),
        "predict": lambda: estimator.predict(spectra),
    }
    best = dict.fromkeys(entries, np.inf)
    for _ in range(arguments.repeats):
        for name, call in entries.items():
            best[name] = min(best[name], cpu_seconds(call))
    for name, seconds in best.items():
        each = 1e3 * seconds / len(spectra)
        print(
            f"{name:14} {each:7.2f} ms of CPU a spectrum, {seconds / best['network alone']:.2f} x the network"
        )


if __name__ == "__main__":
    memory(arguments.memory) if arguments.memory else main()
