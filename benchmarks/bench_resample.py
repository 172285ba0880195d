"""Resampling spectra onto the PFS MR grid: specvit against specutils and SpectRes.

First the answers are compared, then the time is taken, in the same run and on the same spectra::

    python benchmarks/bench_resample.py --spectra 100 --pixels 20000
"""

import argparse
import time
import warnings

import numpy as np

from specvit.grid import PFS_MR, Resampler, edges_from_centres


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=int, default=100, help="number of spectra")
    parser.add_argument("--pixels", type=int, default=20_000, help="pixels of each")
    parser.add_argument(
        "--repeats", type=int, default=7, help="timings of specvit and SpectRes; the best counts"
    )
    parser.add_argument(
        "--specutils-spectra",
        type=int,
        help="time specutils on fewer spectra and scale up (default: on all of them)",
    )
    return parser.parse_args()


def make_spectra(n, n_pixels):
    rng = np.random.default_rng(1)
    wave = np.linspace(7050, 8900, n_pixels)
    flux = 1 + 0.1 * np.sin(wave / 3) + 0.05 * rng.normal(size=(n, n_pixels))
    return wave, flux, rng.uniform(0.04, 0.06, (n, n_pixels)) ** 2


def ours(wave, flux, variance, bands=0):
    """All of it: edges, matrix, and every spectrum."""
    return Resampler(edges_from_centres(wave), PFS_MR)(flux, variance, bands=bands)


def spectres(wave, flux, variance):
    from spectres import spectres

    return spectres(PFS_MR.wave, wave, flux, np.sqrt(variance))


def specutils(wave, flux, variance):
    import astropy.units as u
    from astropy.nddata import VarianceUncertainty
    from specutils import Spectrum
    from specutils.manipulation import FluxConservingResampler

    spectrum = Spectrum(flux * u.Jy, wave * u.AA, uncertainty=VarianceUncertainty(variance))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = FluxConservingResampler()(spectrum, PFS_MR.wave * u.AA)
    power = {"std": 2, "var": 1, "ivar": -1}[out.uncertainty.uncertainty_type]
    return out.flux.value, out.uncertainty.array**power


def validate(wave, flux, variance):
    mine = ours(wave, flux[:2], variance[:2])
    theirs, error = spectres(wave, flux[:2], variance[:2])
    np.testing.assert_allclose(mine.flux, theirs, rtol=1e-12)
    np.testing.assert_allclose(np.sqrt(mine.variance), error, rtol=1e-12)
    theirs, their_variance = specutils(wave, flux[:2], variance[:2])
    np.testing.assert_allclose(mine.flux, theirs, rtol=1e-10)
    np.testing.assert_allclose(mine.variance, their_variance, rtol=1e-10)
    print("validated: flux and errors equal SpectRes to 1e-12 and specutils to 1e-10")


def best_time(function, *arguments, repeats=1, **options):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function(*arguments, **options)
        times.append(time.perf_counter() - start)
    return min(times)


def main():
    arguments = parse_arguments()
    n, n_slow = arguments.spectra, min(arguments.specutils_spectra or arguments.spectra, arguments.spectra)
    wave, flux, variance = make_spectra(n, arguments.pixels)
    validate(wave, flux, variance)

    repeats = arguments.repeats
    apply = Resampler(edges_from_centres(wave), PFS_MR)
    rows = [
        ("specvit: flux, variance", best_time(ours, wave, flux, variance, repeats=repeats)),
        ("specvit: … ±1, ±2 covariance", best_time(ours, wave, flux, variance, bands=2, repeats=repeats)),
        ("specvit: flux, matrix ready", best_time(apply, flux, repeats=repeats)),
        ("SpectRes", best_time(spectres, wave, flux, variance, repeats=min(repeats, 3))),
        (
            "specutils FluxConserving",
            best_time(specutils, wave, flux[:n_slow], variance[:n_slow]) * n / n_slow,
        ),
    ]
    note = "" if n_slow == n else f" (specutils timed on {n_slow}, scaled)"
    print(f"\n{n} spectra, {arguments.pixels} -> {len(PFS_MR)} pixels{note}")
    print(f"{'':<32}{'seconds':>10}{'spectra/s':>12}{'specutils/this':>16}")
    for name, seconds in rows:
        print(f"{name:<32}{seconds:>10.4f}{n / seconds:>12.1f}{rows[-1][1] / seconds:>16.1f}")


if __name__ == "__main__":
    main()
