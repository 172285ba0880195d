"""Cut the extracts that the tests read, tests/data, out of larger data that do not ship.

usage: python scripts/make_test_data.py SHARED [--out tests/data]

SHARED is a folder with ``library/`` (the synthetic library that the bundled emulator was fitted on),
``pfs/`` (the table of the exposure-time calculator and the reference model that reads it) and ``real/``
(the spectrum of HD 100006). What each extract is, and where it comes from, is in tests/data/README.md.
"""

import argparse
import importlib.util
import json
from pathlib import Path

import numpy as np

from specvit.stars import Emulator
from specvit.stars.library import library_files

#: Conditions that the noise model is compared at: arcsec, 900 s exposures, degrees, degrees; AB magnitudes.
CONDITIONS = [
    (0.8, 12, 22.5, 0.325),
    (1.5, 12, 45, 0.65),
    (0.5, 12, 0, 0),
    (1.0, 4, 35, 0.45),
    (0.67, 24, 45, 0.1),
]
MAGNITUDES = [18.0, 22.5]
#: And those whose median S/N is kept, at the reference conditions.
MEDIANS = [18.0, 20.0, 21.5, 22.0, 22.5]
#: What is kept of the giant's spectrum, Å in air: the pixels of PFS MR and the reach of its line spread.
GIANT_RANGE = 7080.0, 8880.0


def library_extract(folder):
    """Every fourth spectrum held out of the emulator's fit, as a file of the library's own kind.

    Labels of all spectra come with them: the domain that the emulator knows.
    """
    parts = []
    for path in library_files(folder):
        with np.load(path) as archive:
            parts.append({name: archive[name] for name in ("labels", "norm", "cont")})
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    row = np.array(Emulator.load().record["held_out"])[::4]
    return {name: values[row] for name, values in whole.items()} | {"row": row}, whole["labels"]


def reference_snr(folder, every=32):
    """S/N of a source of flat f_ν by the reference model, which agrees with the calculator to 2e-3."""
    spec = importlib.util.spec_from_file_location("mr_snr_model", folder / "mr_snr_model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.MRNoise(folder / "mr_noise_table.npz")
    # The model takes counts at the pixels' left edges; the table also has them at the centres.
    model.t["counts_22p5_3h"] = model.t["counts_22p5_3h_center"]
    snr = [[model.snr(m, *condition)[::every] for m in MAGNITUDES] for condition in CONDITIONS]
    return {
        "conditions": np.array(CONDITIONS),
        "magnitudes": np.array(MAGNITUDES),
        "wave": model.wave[::every],
        "pixel": np.arange(0, model.wave.size, every),
        "snr": np.array(snr),
        "median_magnitudes": np.array(MEDIANS),
        "median_snr": np.array([np.median(model.snr(magnitude)) for magnitude in MEDIANS]),
    }


def giant(folder):
    """The spectrum of HD 100006 near the red arm's range, with the facts that its users need."""
    facts = json.loads((folder / "HD100006_IndoUS.json").read_text())
    with np.load(folder / "HD100006_IndoUS.npz") as archive:
        wave, flux, good = archive["wave_A"], archive["flux"], archive["good"]
    kept = (wave > GIANT_RANGE[0]) & (wave < GIANT_RANGE[1])
    return {
        "wave": wave[kept],
        "flux": flux[kept],
        "good": good[kept],
        "medium": facts["air_or_vacuum"],
        "resolution": facts["R"],
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shared", type=Path)
    parser.add_argument("--out", type=Path, default=Path("tests/data"))
    arguments = parser.parse_args()
    held_out, labels = library_extract(arguments.shared / "library")
    (arguments.out / "library").mkdir(parents=True, exist_ok=True)
    np.savez_compressed(arguments.out / "library" / "d_held_out.npz", **held_out)
    np.savez_compressed(arguments.out / "library_labels.npz", labels=labels.astype(np.float32))
    np.savez_compressed(arguments.out / "pfs_mr_snr.npz", **reference_snr(arguments.shared / "pfs"))
    np.savez_compressed(arguments.out / "hd100006.npz", **giant(arguments.shared / "real"))
    for path in sorted(arguments.out.rglob("*.npz")):
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
