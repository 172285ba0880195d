"""What the first answer of a new process costs, beside the imports that it cannot do without.

usage: OMP_NUM_THREADS=1 python benchmarks/bench_start.py [--repeats 5]

First the answers of new processes must be those of this one. Then CPU seconds are taken, user's and system's,
each of a process of its own, one after the other in every round; the least of all rounds is printed.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from specvit import LoggEstimator
from specvit.example import example_spectrum

ARRAYS = """
import sys
import numpy as np
from specvit import LoggEstimator
wave, flux, ivar, resolution = np.load(sys.argv[1])
print(LoggEstimator(device="cpu").predict(flux[None], ivar=ivar[None])[0])
"""
SPECTRUM = """
import sys
import numpy as np
from astropy import units as u
from astropy.nddata import InverseVariance
from specutils import Spectrum
from specvit import LoggEstimator
wave, flux, ivar, resolution = np.load(sys.argv[1])
meta = {"medium": "vacuum", "resolution": resolution}
flux = flux * u.Unit("1e-19 erg / (s cm2 AA)")
spectrum = Spectrum(flux, wave * u.AA, uncertainty=InverseVariance(ivar), meta=meta)
print(LoggEstimator(device="cpu").predict(spectrum).value)
"""
PROGRAMS = {
    "Python alone": "pass",
    "import specvit": "import specvit",
    "import torch, specutils": "import torch, specutils",
    "first answer, arrays": ARRAYS,
    "first answer, Spectrum": SPECTRUM,
}


def started(program, path):
    """What a program prints in a new process about the star in a file, and the CPU seconds that it takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", program, str(path)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return printed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    """Compare the answers, then take the times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    spectrum = example_spectrum()
    ivar = spectrum.uncertainty.array**-2.0
    estimator = LoggEstimator(device="cpu")
    expected = {
        "first answer, arrays": estimator.predict(spectrum.flux.value[None], ivar=ivar[None])[0],
        "first answer, Spectrum": estimator.predict(spectrum).value,
    }
    seconds = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "star.npy"
        resolution = spectrum.meta["resolution"]
        np.save(path, [spectrum.spectral_axis.value, spectrum.flux.value, ivar, resolution])
        for _ in range(arguments.repeats):
            for name, program in PROGRAMS.items():
                printed, spent = started(program, path)
                seconds[name].append(spent)
                if name in expected and abs(float(printed) - float(expected[name])) > 1e-3:
                    sys.exit(f"{name}: log g is {printed.strip()}, here it is {expected[name]}")
    for name, spent in seconds.items():
        print(f"{name:24} {min(spent):6.3f} s of CPU (at most {max(spent):.3f})")


if __name__ == "__main__":
    main()
