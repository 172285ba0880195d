"""How fast networks are trained: the public `train` with its simulation, beside plain loops and Hugging Face.

usage: python benchmarks/bench_train.py [--device cuda] [--devices N] [--batch-size 1024] [--steps 20]
                                        [--only NAME ...] [--surveys paper any] [--profile]

`bench_kernels.py` times the kernels one by one.
First the gradient must agree with that of the readable network in float64, and on a GPU the way of ten
compiled steps with that of eager ones. Then each entry is timed in the same run: steps after those in which
things are compiled, wall seconds on a GPU, spectra per second. With --profile the kernels of some steps are
listed, with the bytes and FLOPs that a step must move at least. With --devices N (a script of
`torchrun --standalone --nproc-per-node=N`) only `train` is timed, on N GPUs. What is not installed is left
out.
"""

import copy
import math
import time
import warnings
from itertools import islice

import torch
from timing import HALF, Bench, configuration, options

from specvit.labels import LABELS
from specvit.network import LabelRegressor, TrainingConfig, ViTConfig, fastlayers, train
from specvit.network.lightningmodule import parameter_groups
from specvit.network.processes import leave, own_device, process_rank
from specvit.survey import Survey
from specvit.survey.mixture import BlockStream, MixedStream

PARTS = ("check", "simulation", "networks", "peers", "train")
parser = options(__doc__)
parser.add_argument("--devices", type=int, default=1)
parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
parser.add_argument("--surveys", nargs="+", default=["paper", "any"])
parser.add_argument("--at-once", type=int, default=8, help="batches that are simulated together")
parser.add_argument(
    "--modes", nargs="+", default=["reduce-overhead"], help="of torch.compile, or eager, torch"
)
parser.add_argument("--profile", action="store_true")
parser.add_argument("--rows", type=int, default=25, help="of a profile")
arguments = parser.parse_args()
rank = process_rank(arguments.devices)
device = own_device(arguments.device)
gpu, n, steps, small = device.type == "cuda", arguments.batch_size, arguments.steps, arguments.small
bench = Bench(device, n, steps, rank, arguments.rows if arguments.profile else 0)
say, report, seconds, profiled = bench.say, bench.report, bench.seconds, bench.profiled
warnings.simplefilter("ignore")


def least(config):
    """Arithmetic (FLOP) and traffic (bytes) of a step for one spectrum, forward and backward.

    Traffic is that of kernels of one operation each: products, attention, and what lies between in one pass.
    """
    t, w, m, d = config.sequence_length, config.width, config.mlp, config.depth
    products = 2 * (4 * w * w + 2 * w * m) + 4 * t * w
    forward = 2 * w * 2 + 8 * w * 2 + 4 * w * 4 + 2 * w * 2 + 3 * (m + w) * 2 + 2 * m
    return 3 * d * t * products, 3 * d * t * forward


def regressor_of(config, survey="paper"):
    """A network of a shape as it is trained for a survey."""
    torch.manual_seed(0)
    told = {"encoding": "instrument", "covariance": True} if survey == "any" else {}
    regressor = LabelRegressor.build(config, LABELS, **told)
    regressor.set_label_scaling([4800, 3.0, -0.5, 0.1, 0.0], [600, 1.1, 0.3, 0.1, 0.1])
    return regressor.to(device)


def stream_of(survey, size=n):
    """Batches as ``scripts/train_weights.py`` takes them: of `any` a fifth is of `pfs-mr`."""
    block = size * arguments.at_once
    if survey != "any":
        return BlockStream(Survey(survey, seed=1).stream(block, device=device), arguments.at_once)
    few = block // 5
    parts = (Survey("any", seed=1), block - few), (Survey("pfs-mr", seed=1), few)
    mixed = MixedStream(*(one.stream(count, device=device) for one, count in parts))
    return BlockStream(mixed, arguments.at_once)


class Timed:
    """Batches, with the clock started and stopped before two of them."""

    def __init__(self, batches, first, last, name):
        self.batches, self.first, self.last, self.name = batches, first, last, name
        self.elapsed, self._profile = math.nan, None

    def part(self, rank, world_size):
        return Timed(self.batches.part(rank, world_size), self.first, self.last, self.name)

    def set_step(self, step):
        self.batches.set_step(step)

    def __iter__(self):
        for k, batch in enumerate(self.batches):
            if k == self.first:
                bench.synchronise()
                self.start = time.perf_counter()
            if k == self.last:
                bench.synchronise()
                Timed.elapsed = time.perf_counter() - self.start
                self._profile = profiled(self.name, 5)
                self._profile.__enter__()
            if k == self.last + 5:
                self._profile.__exit__(None, None, None)
            yield batch


def steps_differ(config):
    """By how much the way that compiled steps take differs from that of eager ones, and the most."""
    batches, ends = list(islice(stream_of("paper"), 10)), []
    settings = {"max_steps": 10, "learning_rate": 1e-4, "gradient_clip": 0.5, "precision": "32-true"}
    for compiled in (True, False):
        regressor = regressor_of(config)
        begin = torch.nn.utils.parameters_to_vector(regressor.parameters()).detach()
        train(regressor, batches, TrainingConfig(compile=compiled, **settings), progress=False)
        ends.append(torch.nn.utils.parameters_to_vector(regressor.parameters()).detach() - begin)
    return ((ends[0] - ends[1]).norm() / ends[1].norm()).item(), 0.1


# -- is it right? ------------------------------------------------------------------------------------------
if "check" in arguments.only and not rank:
    for name in arguments.configurations:
        config = ViTConfig.from_dict(
            configuration(name, small).to_dict() | {"depth": 1, "dropout": 0, "attention_dropout": 0}
        )
        torch.manual_seed(0)
        network = LabelRegressor.build(config, LABELS).network.to(device)
        x, exact = torch.randn(8, 2, 4096, device=device), copy.deepcopy(network).double()
        exact(x.double()).square().sum().backward()
        for precision in (torch.float32, HALF):
            network.zero_grad()
            with torch.autocast(device.type, HALF, enabled=precision == HALF):
                network(x).square().sum().backward()
            pairs = zip(network.parameters(), exact.parameters(), strict=True)
            off = max(((a.grad - b.grad).norm() / b.grad.norm()).item() for a, b in pairs)
            most = 2e-3 if precision == torch.float32 else 0.1
            bench.judge(f"{name}: gradient in {precision}, beside float64,", off, most)
        if gpu:
            bench.judge(f"{name}: ten steps of train, compiled beside eager,", *steps_differ(config))

# -- simulation ----------------------------------------------------------------------------------------
if "simulation" in arguments.only:
    for survey in [*arguments.surveys, *(["pfs-mr"] if "any" in arguments.surveys else [])]:
        stars = Survey(survey, seed=1)
        batches = iter(stars.stream(n, device=device))
        report(f"simulation, {survey}", seconds(lambda batches=batches: next(batches)))
        with profiled(f"simulation, {survey}", 3):
            for _ in range(3):
                next(batches)


# -- networks alone ----------------------------------------------------------------------------------------
def stepping(network, x):
    """A plain training step: autocast, mean square, clipped gradient, fused AdamW."""
    groups = parameter_groups(network, 0.01)
    optimizer = torch.optim.AdamW(groups, lr=1e-4, fused=gpu)

    def step():
        with torch.autocast(device.type, HALF, enabled=gpu):
            out = network(x)
        loss = (out[0] if isinstance(out, tuple) else out).float().square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


if "networks" in arguments.only:
    for name in arguments.configurations:
        config = configuration(name, small)
        flops, moved = least(config)
        say(
            f"{name}: a step takes {flops / 1e9:.2f} GFLOP and moves {moved / 1e6:.0f} MB a spectrum at least"
        )
        x = torch.randn(n, 2, 4096, device=device)
        for mode in arguments.modes:
            network = LabelRegressor.build(config, LABELS).network.to(device)
            fastlayers.ENABLED = mode != "torch"
            if mode != "eager":
                network.compile(mode="reduce-overhead" if mode == "torch" else mode)
            step = stepping(network, x)
            report(f"network alone, {name}, {mode}", seconds(step))
            with profiled(f"network alone, {name}, {mode}", 3):
                for _ in range(3):
                    step()
            del network, step
            fastlayers.ENABLED = True

# -- peers -------------------------------------------------------------------------------------------------
if "peers" in arguments.only:
    try:
        from transformers import ViTConfig as HuggingFaceConfig
        from transformers import ViTModel

        few = {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 32, "num_attention_heads": 2}
        full = {
            "hidden_size": 256, "num_hidden_layers": 6, "intermediate_size": 1024, "num_attention_heads": 8
        }  # fmt: skip
        peer = HuggingFaceConfig(
            **(few if small else full),
            image_size=(1, 4096),
            patch_size=(1, 16),
            num_channels=1,
            hidden_dropout_prob=0.1,
            attention_probs_dropout_prob=0.1,
        )

        class Peer(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.vit = ViTModel(peer, add_pooling_layer=False)
                self.head = torch.nn.Linear(peer.hidden_size, 1)

            def forward(self, x):
                return self.head(self.vit(x).last_hidden_state[:, 0])

        step = stepping(Peer().to(device).train(), torch.randn(n, 1, 1, 4096, device=device))
        report("Hugging Face ViT, reference shape, eager, no simulation", seconds(step, max(3, steps // 2)))
        del step
    except ImportError:
        say("transformers is not installed")
    network = LabelRegressor.build(configuration("reference", small), LABELS).network.to(device)
    step = stepping(network, torch.randn(n, 2, 4096, device=device))
    report("plain eager reference network, no simulation", seconds(step, max(3, steps // 2)))
    del network, step

# -- the public function -----------------------------------------------------------------------------------
if "train" in arguments.only:
    for survey in arguments.surveys:
        for name in ["bundled"] if survey == "any" else arguments.configurations:
            warm = 8
            config = TrainingConfig(
                max_steps=warm + steps + 6,
                warmup_steps=2,
                ema_decay=0.999,
                gradient_clip=0.5,
                compile=arguments.modes != ["eager"],
                log_every_steps=50,
            )
            label = f"train, {name}, {survey}, simulation included"
            timed = Timed(stream_of(survey), warm, warm + steps, label)
            regressor = regressor_of(configuration(name, small), survey)
            train(regressor, timed, config, devices=arguments.devices, progress=False)
            report(label, Timed.elapsed, steps * n * arguments.devices)
    leave()
bench.finish()
