"""Calibrate the errors of weights for any instrument further, by what was predicted, and measure them anew.

usage: python scripts/refine_weights.py WEIGHTS --out FILE [--calibrated] [--keep FOLDER] [--device cuda]

Labels and the cells of the calibration stay as they are; a second factor on σ is set from fresh stars of
Survey("any") by `specvit.network.cellcalibration.refine_calibration` (which scripts/train_weights.py does at
its end, too). Shares within 1 σ are printed before and after, on other stars of this survey: by predicted σ
and label, and by resolution, coverage and S/N. FILE has the record of WEIGHTS, with this command and what it
was run on under "refinement_…", and all figures measured anew; --score-size 0 leaves these as they were. With
--size 0 it is the errors that stay as they are: only figures are measured, and recorded with "figures_…".

Predictions are kept in FOLDER, 1,000 a file, by weights and library: a run that was cut off goes on.
"""

import argparse
import hashlib
import os
import shlex
import sys
from pathlib import Path

import numpy as np
import torch

from specvit import __version__
from specvit.assess import score_survey
from specvit.assess.instrumentcells import score_cells
from specvit.constants import ONE_SIGMA
from specvit.network.cellcalibration import pulls, refine_calibration
from specvit.network.heldout import HeldOut, predict_held_out
from specvit.network.reduced import half_of, reduced
from specvit.stars import Emulator
from specvit.survey import Survey
from specvit.survey.streams import CALIBRATION
from specvit.weights import load_weights, save_weights

DRAWN, AT_ONCE = 1000, 125  # spectra of a stream, and predicted at once
#: Edges of the bins of relative line spread function, coverage and S/N.
BINS = ((0.3, 1.2), (0.2, 0.5), (5.0, 12.0, 40.0, 120.0))


def drawn(survey, number, device):
    """A thousand spectra in pieces."""
    batch = survey.draw(DRAWN, stream=CALIBRATION + number, device=device).training
    return zip(*(one.split(AT_ONCE) for one in batch), strict=True)


def kept_in(folder, regressor, calibrated):
    """Folder for predictions of a network, for spectra of one library; None without a folder."""
    if folder is None:
        return None
    digest = hashlib.sha256(b"calibrated" if calibrated else b"")
    for tensor in (*regressor.network.state_dict().values(), regressor.label_centre, regressor.label_scale):
        digest.update(tensor.cpu().numpy().tobytes())
    own = folder / digest.hexdigest()[:12]
    own.mkdir(parents=True, exist_ok=True)
    return own


def predictions(regressor, survey, size, folder, device):
    """`HeldOut` of so many stars of a survey, kept in a folder if there is one."""
    parts = []
    for number in range(-(-size // DRAWN)):
        path = folder and folder / f"seed{survey.seed}_{number:04d}.npz"
        if path and path.exists():
            with np.load(path) as kept:
                parts.append(HeldOut(*(torch.as_tensor(kept[name]) for name in HeldOut._fields)))
            continue
        parts.append(predict_held_out(regressor, drawn(survey, number, device)))
        if path:
            part = path.with_suffix(".part.npz")
            np.savez(part, **{name: values.numpy() for name, values in parts[-1]._asdict().items()})
            part.replace(path)
    return HeldOut(*map(torch.cat, zip(*parts, strict=True)))


def bins_of_answers(held_out, k):
    """Number of the bin of each star: five of σ of a label times five of the label, of equal numbers."""
    fifths, sigma = (0.2, 0.4, 0.6, 0.8), held_out.log_sigma[:, k].numpy()
    number = 5 * np.searchsorted(np.quantile(sigma, fifths), sigma)
    for first in range(0, 25, 5):
        of = number == first
        label = held_out.mean[of, k].numpy()
        number[of] += np.searchsorted(np.quantile(label, fifths), label)
    return number


def bins_of_instruments(held_out):
    """Number of the bin of each star: line spread function × coverage × S/N."""
    number = 0
    for values, edges in zip((held_out.lsf, held_out.coverage, held_out.snr), BINS, strict=True):
        number = number * (len(edges) + 1) + np.searchsorted(edges, values.numpy())
    return number


def print_shares(names, held_out, pulls_of):
    """Lowest and highest share within 1 σ, and χ² of all bins, of each label, before and after."""
    for what, number_of in (
        ("predicted σ x label", bins_of_answers),
        ("R x coverage x S/N", lambda held_out, k: bins_of_instruments(held_out)),
    ):
        print(f"share within 1 σ in bins of {what}: all; lowest, highest; χ² of the bins")
        for k, name in enumerate(names):
            number = number_of(held_out, k)
            count = np.bincount(number)
            words = []
            for when, values in pulls_of.items():
                inside = (values[:, k].abs() < 1).numpy()
                share = np.bincount(number, inside) / np.maximum(count, 1)
                chi2 = (count * (share - ONE_SIGMA) ** 2).sum() / (ONE_SIGMA * (1 - ONE_SIGMA))
                share = share[count > 0]
                extremes = f"{share.min():.3f}, {share.max():.3f}"
                words.append(f"{when} {inside.mean():.3f}; {extremes}; {chi2:.0f} of {share.size}")
            print(f"  {name:7}", "   ".join(words))


def renewed(record, about, *, refined, scored):
    """The record of weights without what is outdated, and with what there is to say `about` this run."""
    outdated = ("refinement_",) if refined else ()
    if scored:
        outdated += ("figures_", "refinement_figures", "refinement_score_size", "refinement_cell_size")
    kept = {key: value for key, value in record.items() if not key.startswith(outdated)}
    what = "refinement_" if refined else "figures_"
    return kept | {what + key: value for key, value in about.items()}


def main():
    """Draw, calibrate, measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights")
    parser.add_argument("--out", required=True)
    parser.add_argument("--size", type=int, default=200_000, help="stars to calibrate on; 0: none")
    parser.add_argument("--check-size", type=int, default=40_000, help="stars to compare shares on")
    parser.add_argument(
        "--score-size", type=int, default=20_000, help="stars of each magnitude; 0: no figures"
    )
    parser.add_argument("--cell-size", type=int, default=4000, help="stars of each cell")
    parser.add_argument("--seed", type=int, default=2, help="the next one is measured on")
    parser.add_argument("--calibrated", action="store_true", help="the library calibrated on real stars")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep predictions there")
    parser.add_argument("--revision", default="unknown", help="git revision, for the record")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    if not (arguments.size or arguments.score_size):
        parser.error("--size and --score-size are both 0: nothing would be calibrated or measured")
    device = torch.device(arguments.device)
    library = {"emulator": Emulator.load(calibrated=True)} if arguments.calibrated else {}

    regressor, grid, record = load_weights(arguments.weights)
    if regressor.encoding != "instrument":
        parser.error(
            f"WEIGHTS must be for any instrument, {arguments.weights} are for {regressor.encoding!r}"
        )
    regressor.to(device)
    fast, keep = reduced(regressor, half_of(device)), kept_in(arguments.keep, regressor, arguments.calibrated)
    if arguments.size:
        held_out, fresh = (
            predictions(fast, Survey("any", seed=seed, **library), size, keep, device)
            for seed, size in ((arguments.seed, arguments.size), (arguments.seed + 1, arguments.check_size))
        )
        pulls_of = {"before": pulls(regressor, fresh)}
        refine_calibration(regressor, held_out)
        pulls_of["after"] = pulls(regressor, fresh)
        print_shares(regressor.label_names, fresh, pulls_of)

    if arguments.score_size:
        fast, seed = reduced(regressor, half_of(device)), arguments.seed + 1
        record["figures"] = {
            name: score_survey(
                fast, Survey(name, seed=seed, **library), n=arguments.score_size, device=device
            )
            for name in ("paper", "pfs-mr")
        }
        record["figures"]["any"] = score_cells(fast, n=arguments.cell_size, device=device, **library)
    about = {
        "command": "python scripts/refine_weights.py "
        + shlex.join(Path(word).name if "/" in word else word for word in sys.argv[1:]),
        "seed": arguments.seed,
        "revision": arguments.revision,
        "specvit": __version__,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"CPU, {os.cpu_count()} cores",
    }
    if arguments.size:
        about["spectra"] = len(held_out.error)
    if arguments.score_size:
        about |= {"score_size": arguments.score_size, "cell_size": arguments.cell_size}
    else:
        about["figures"] = "measured before the refinement, which changes the shares within 1 σ only"
    record = renewed(record, about, refined=arguments.size > 0, scored=arguments.score_size > 0)
    save_weights(arguments.out, regressor.cpu(), grid=grid, record=record, dtype=torch.float16)


if __name__ == "__main__":
    main()
