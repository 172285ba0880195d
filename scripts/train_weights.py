"""Train the weights that ship with specvit, on stars simulated on the GPUs as training goes.

usage: python scripts/train_weights.py SURVEY --steps N --out FILE [--devices N] [--checkpoints DIR]
                                       [--max-minutes M]

With --devices above 1 the script starts itself once for each GPU, as torchrun would (which may start it,
too); --batch-size is then that of each of them. Run again with the same --checkpoints to continue an
interrupted run: one that --max-minutes has stopped before its last step says so, writes no weights and
exits with status 3 (torchrun makes that 1). When the last step is done the errors are calibrated and
measured on fresh stars, and FILE is written with the whole record in it.

SURVEY "any", stars seen by instruments at random, trains a network that is told of the instrument and gives
the correlations of its errors; --start with a file of weights of another survey extends these. For example

    python scripts/train_weights.py any --calibrated --steps 24000 --start old.safetensors \\
        --out any.safetensors
"""

import argparse
import json
import os
import shlex
import sys
import time
import uuid
from pathlib import Path

import torch

from specvit import __version__
from specvit.assess import score_survey
from specvit.assess.instrumentcells import score_cells
from specvit.labels import LABELS
from specvit.network import LabelRegressor, TrainingConfig, ViTConfig, train
from specvit.network.cellcalibration import calibrate_cells
from specvit.network.conformal import calibrate
from specvit.network.extension import extend_regressor
from specvit.network.processes import leave, own_device, process_rank
from specvit.stars import Emulator, LineCalibration
from specvit.survey import Survey
from specvit.survey.mixture import BlockStream, MixedStream
from specvit.survey.streams import CALIBRATION, SCALING, VALIDATION
from specvit.weights import load_weights, save_weights

UNFINISHED = 3  # exit status


def launch(devices):
    """Run this script in so many processes, and exit as the first that fails, if any does."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-u", *sys.argv)
    except ChildFailedError as error:
        sys.exit(error.get_first_failure()[1].exitcode)
    sys.exit()


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("survey")
parser.add_argument("--out", required=True)
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--devices", type=int, default=1, help="GPUs, or processes on the CPU")
parser.add_argument("--batch-size", type=int, default=1024, help="of each device")
parser.add_argument("--at-once", type=int, default=1, help="batches that are simulated together")
parser.add_argument("--magnitude", type=float, nargs=2, metavar=("LOW", "HIGH"), help="not the survey's own")
parser.add_argument("--learning-rate", type=float, default=6e-4)
parser.add_argument("--beta", type=float, default=0.5)
parser.add_argument("--ema", type=float, default=0.999)
parser.add_argument("--config", default="{}", help="changes to ViTConfig(), as JSON")
parser.add_argument("--start", help="weights to start from instead of random ones")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--checkpoints")
parser.add_argument("--max-minutes", type=float, help="of training in this call")
parser.add_argument("--finish-now", action="store_true", help="write weights whatever step is reached")
parser.add_argument("--no-compile", action="store_true")
parser.add_argument("--validation-size", type=int, default=8192)
parser.add_argument("--score-size", type=int, default=20_000)
parser.add_argument(
    "--calibration-size", type=int, help="spectra; default: 4 times the score size, any: 200 000"
)
parser.add_argument("--home-share", type=float, default=0.2, help="any: share of a batch that is of pfs-mr")
parser.add_argument(
    "--calibrated",
    nargs="?",
    const=True,
    metavar="FILE",
    help="the library calibrated on real stars, by another table than the one that ships if FILE is given",
)
parser.add_argument("--revision", default="unknown", help="git revision, for the record")
parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
arguments = parser.parse_args()
if arguments.devices > 1 and "TORCHELASTIC_RUN_ID" not in os.environ:
    launch(arguments.devices)

begun = time.time()
rank, device = process_rank(arguments.devices), own_device(arguments.device)
any_instrument = arguments.survey == "any"
library = {}
if arguments.calibrated:
    table = None if arguments.calibrated is True else LineCalibration.load(arguments.calibrated)
    library["emulator"] = Emulator.load().calibrated(table)


def survey_of(seed):
    """The survey to train on; another seed, other stars."""
    if any_instrument:
        return Survey("any", seed=seed, **library)
    return Survey(arguments.survey, seed=seed, magnitude=arguments.magnitude, **library)


survey = survey_of(arguments.seed)
config = TrainingConfig(
    max_steps=arguments.steps,
    learning_rate=arguments.learning_rate,
    min_learning_rate=1e-6,
    warmup_steps=min(1000, arguments.steps // 20),
    beta=arguments.beta,
    ema_decay=arguments.ema,
    gradient_clip=0.5,
    weight_decay=0.01,
    val_every_steps=max(1, min(2000, arguments.steps)),
    compile=device.type == "cuda" and not arguments.no_compile,
    seed=arguments.seed,
)
torch.manual_seed(arguments.seed)
if arguments.start:
    regressor, _, earlier = load_weights(arguments.start)
    if any_instrument:
        regressor = extend_regressor(regressor, encoding="instrument", covariance=True)
else:
    shape = ViTConfig(**json.loads(arguments.config))
    kind = {"encoding": "instrument", "covariance": True} if any_instrument else {}
    regressor, earlier = LabelRegressor.build(shape, LABELS, **kind), None
    sample = [survey.draw(2000, stream=SCALING + i, device=device).labels.cpu() for i in range(10)]
    regressor.fit_label_scaling(torch.cat(sample))
regressor.to(device)

# Streams that are never trained on.
held_out = survey_of(arguments.seed + 1)
size = min(1024, arguments.validation_size)
validation = [
    held_out.draw(size, stream=VALIDATION + i, device=device).training
    for i in range(arguments.validation_size // size)
]
block = arguments.batch_size * arguments.at_once
stream = survey.stream(block, device=device)
n_home = round(arguments.home_share * block) if any_instrument else 0
if n_home:
    pfs = Survey("pfs-mr", seed=arguments.seed, **library)
    stream = MixedStream(survey.stream(block - n_home, device=device), pfs.stream(n_home, device=device))
if arguments.at_once > 1:
    stream = BlockStream(stream, arguments.at_once)
history = train(
    regressor,
    stream,
    config,
    val_batches=validation,
    checkpoint_dir=arguments.checkpoints,
    resume="last" if arguments.checkpoints else None,
    max_minutes=arguments.max_minutes,
    devices=arguments.devices,
    progress=sys.stdout.isatty(),
)
leave()
if rank:
    sys.exit()
steps = history["step"][-1] if history.get("step") else 0
finished = steps >= arguments.steps
print(
    f"{'FINISHED' if finished else 'UNFINISHED'}: step {steps} of {arguments.steps}, "
    f"{(time.time() - begun) / 60:.1f} min in this call; spectra/s",
    *map(round, history.get("spectra_per_second", [])[-5:]),
)
print("val_loss", [round(x, 4) for x in history["val_loss"][-20:]])
print("val_r2_logg", [round(x, 4) for x in history["val_r2_logg"][-20:]])
if not (finished or arguments.finish_now):
    print("Not finished, so no weights are written: run the same command again to go on")
    sys.exit(UNFINISHED)

size = arguments.calibration_size or (200_000 if any_instrument else 4 * arguments.score_size)
fresh = (
    held_out.draw(1000, stream=CALIBRATION + i, device=device).training for i in range(max(1, size // 1000))
)
(calibrate_cells if any_instrument else calibrate)(regressor, fresh)
figures = {
    name: score_survey(
        regressor, Survey(name, seed=arguments.seed + 2, **library), n=arguments.score_size, device=device
    )
    for name in ("paper", "pfs-mr")
}
for name, table in figures.items():
    print(name)
    for magnitude, row in table.items():
        logg = row["logg"]
        print(
            f"  {magnitude:>5}  R2 {logg['r2']:.4f}  MAE {logg['mae']:.4f}  coverage {logg['coverage']:.3f}"
        )
if any_instrument:
    figures["any"] = score_cells(regressor, n=max(20, arguments.score_size // 5), device=device, **library)
    print("any: R, window, S/N per native pixel")
    for row in figures["any"]:
        logg = row["logg"]
        print(
            f"  {row['resolving_power']:.0f} {row['low']:.0f}-{row['high']:.0f} {row['snr']:.0f}  R2 "
            f"{logg['r2']:.4f}  MAE {logg['mae']:.4f}  coverage {logg['coverage']:.3f}"
        )
record = {
    "survey": survey.to_dict() if any_instrument else repr(survey),
    "command": "python scripts/train_weights.py "
    + shlex.join(Path(word).name if "/" in word else word for word in sys.argv[1:]),
    "seed": arguments.seed,
    "revision": arguments.revision,
    "specvit": __version__,
    "torch": torch.__version__,
    "device": f"{arguments.devices} x {torch.cuda.get_device_name(device)}"
    if device.type == "cuda"
    else f"CPU, {os.cpu_count()} cores",
    "steps": steps,
    "spectra_seen": steps * arguments.batch_size * arguments.devices,
    "training": config.to_dict(),
    "label_range": survey.label_range,
    "started_from": earlier,
    "minutes": round(history["time"][-1] / 60, 2),
    "parameters": regressor.network.n_parameters,
    "figures": figures,
}
Path(arguments.out).parent.mkdir(parents=True, exist_ok=True)
save_weights(arguments.out, regressor.cpu(), grid=survey.grid, record=record, dtype=torch.float16)
with open(Path(arguments.out).with_suffix(".history.json"), "w") as file:
    json.dump(history, file)
