import gc
import json
import math
import subprocess
import sys
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from specvit.network import LabelRegressor, TrainingConfig, ViTConfig, train
from specvit.network.feed import BatchStream
from specvit.network.lightningmodule import LabelModule
from specvit.network.schedule import ema_decay, learning_rate

N_PIXELS = 16
MIXING = torch.randn(N_PIXELS, 2, generator=torch.Generator().manual_seed(5))


def make_batch(step, n=64):
    generator = torch.Generator().manual_seed(1000 + step)
    flux = torch.randn(n, N_PIXELS, generator=generator)
    return flux, torch.ones(n, N_PIXELS), 10 + 2 * flux @ MIXING


class Batches:
    """Batches made from the step alone, so that a run can be taken up at any of them."""

    step = 0

    def set_step(self, step):
        self.step = step

    def __iter__(self):
        while True:
            yield make_batch(self.step)
            self.step += 1


def make_regressor(dropout=0.0, **kwargs):
    torch.manual_seed(0)
    config = ViTConfig.reference(
        n_pixels=N_PIXELS,
        patch_size=8,
        width=16,
        depth=1,
        heads=2,
        mlp=32,
        dropout=dropout,
        attention_dropout=dropout,
    )
    regressor = LabelRegressor.build(config, ("a", "b"), encoding="none", **kwargs)
    regressor.set_label_scaling([10.0, 10.0], [8.0, 8.0])
    return regressor


def run(regressor=None, batches=None, **kwargs):
    """A short training run: the regressor, and its history."""
    options = {
        key: kwargs.pop(key)
        for key in ("val_batches", "checkpoint_dir", "resume", "max_minutes")
        if key in kwargs
    }
    regressor = make_regressor() if regressor is None else regressor
    config = TrainingConfig(**{"max_steps": 20, "learning_rate": 5e-3, "log_every_steps": 10, **kwargs})
    return regressor, train(
        regressor, Batches() if batches is None else batches, config, progress=False, **options
    )


def same_weights(a, b, **tolerance):
    for (name, x), (_, y) in zip(a.state_dict().items(), b.state_dict().items(), strict=True):
        torch.testing.assert_close(x, y, msg=name, equal_nan=True, **(tolerance or {"rtol": 0, "atol": 0}))


VALIDATION = [make_batch(-1, 200), make_batch(-2, 100)]


@pytest.mark.parametrize("loss", ["gaussian_nll", "mse", "l1", "huber"])
def test_a_linear_problem_is_learned(loss):
    regressor = make_regressor(heteroscedastic=loss == "gaussian_nll")
    regressor, history = run(
        regressor,
        loss=loss,
        max_steps=300,
        warmup_steps=20,
        ema_decay=0.98,
        val_batches=VALIDATION,
        val_every_steps=150,
    )
    assert history["val_r2_a"][-1] > 0.9
    assert history["val_r2_b"][-1] > 0.9
    if loss != "gaussian_nll":
        assert history["train_loss"][-1] < 0.5 * history["train_loss"][0]
    assert history["step"] == list(range(10, 301, 10))
    assert history["val_step"] == [150, 300]
    assert all(len(history[name]) == 30 for name in ("train_loss", "lr", "spectra_per_second", "time"))
    json.dumps(history)
    assert not regressor.training
    # the history's metrics are those of the regressor that came back
    flux, ivar, labels = (torch.cat(parts) for parts in zip(*VALIDATION, strict=True))
    mean, _ = regressor.predict(flux, ivar)
    residual, spread = (mean - labels).square().mean(0), labels.var(0, correction=0)
    assert history["val_r2_a"][-1] == pytest.approx(1 - (residual / spread)[0].item(), abs=1e-4)
    assert history["val_mae_b"][-1] == pytest.approx((mean - labels).abs().mean(0)[1].item(), rel=1e-4)


def test_learning_rate_in_closed_form():
    config = TrainingConfig(max_steps=110, warmup_steps=10, learning_rate=1.0, min_learning_rate=0.1)
    assert learning_rate(0, config) == pytest.approx(1 / 11)
    assert learning_rate(9, config) == pytest.approx(10 / 11)
    assert learning_rate(10, config) == pytest.approx(1.0)
    assert learning_rate(60, config) == pytest.approx(0.55)
    assert learning_rate(35, config) == pytest.approx(0.1 + 0.45 * (1 + math.cos(math.pi / 4)))
    assert learning_rate(110, config) == learning_rate(1000, config) == pytest.approx(0.1)


def by_hand(config, decay=None):
    """The same run without Lightning: last weights, and their average."""
    model = make_regressor().double().train()
    average = {name: p.detach().clone() for name, p in model.named_parameters()}
    matrices = [p for name, p in model.named_parameters() if p.ndim > 1 and "position.table" not in name]
    rest = [p for name, p in model.named_parameters() if p.ndim <= 1 or "position.table" in name]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=config.betas)
    for step in range(config.max_steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config)
        flux, ivar, labels = (values.double() for values in make_batch(step))
        mean, log_sigma = model(flux, ivar)
        target = (labels - model.label_centre) / model.label_scale
        nll = torch.nn.functional.gaussian_nll_loss(
            mean, target, (2 * log_sigma).exp(), full=True, reduction="none"
        )
        loss = (nll * log_sigma.detach().exp()).mean()  # β = 0.5
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
        optimizer.step()
        if decay is not None:
            weight = ema_decay(step + 1, decay)
            for name, p in model.named_parameters():
                average[name] = weight * average[name] + (1 - weight) * p.detach()
    if decay is not None:
        model.load_state_dict(average, strict=False)
    return model


@pytest.mark.parametrize("decay", [None, 0.9])
@pytest.mark.parametrize("val_batches", [None, VALIDATION])
def test_training_is_what_a_plain_loop_does(decay, val_batches):
    config = TrainingConfig(
        max_steps=25, learning_rate=5e-3, warmup_steps=5, ema_decay=decay, weight_decay=0.1
    )
    expected = by_hand(config, decay)
    # In float64, because keys' biases have no gradient but rounding, which Adam would blow up.
    regressor, _ = run(
        make_regressor().double(),
        max_steps=25,
        warmup_steps=5,
        ema_decay=decay,
        weight_decay=0.1,
        val_batches=val_batches,
        val_every_steps=7,
    )
    same_weights(regressor, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("validates", [False, True])
@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize("stop_at", [8, 11])  # a validation step, and none
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, validates, ema, stop_at):
    options = {
        "max_steps": 24, "warmup_steps": 3, "ema_decay": ema, "val_every_steps": 4, "seed": 3,
        "val_batches": VALIDATION if validates else None,
    }  # fmt: skip
    whole, whole_history = run(make_regressor(dropout=0.2), **options)

    class Interrupted(Batches):
        def __iter__(self):
            for step in range(stop_at):
                yield make_batch(step)
            raise KeyError("power cut")

    with pytest.raises(KeyError, match="power cut"):
        # the next batch is fetched ahead of the step, so the cut comes one step early
        run(make_regressor(dropout=0.2), Interrupted(), checkpoint_dir=tmp_path, **options)
    assert (tmp_path / "last.ckpt").exists()
    resumed, history = run(make_regressor(dropout=0.2), checkpoint_dir=tmp_path, resume="last", **options)
    same_weights(resumed, whole)
    assert history["step"][-1] == 24
    assert history["lr"][-1] == whole_history["lr"][-1]
    if validates:
        assert history["val_step"] == whole_history["val_step"] == [4, 8, 12, 16, 20, 24]
        assert history["val_loss"] == whole_history["val_loss"]
    # a finished run has nothing left to do, and gives the same again
    finished, again = run(make_regressor(dropout=0.2), checkpoint_dir=tmp_path, resume="last", **options)
    same_weights(finished, whole)
    assert again["step"] == history["step"]


def test_a_finished_run_can_be_extended(tmp_path):
    run(max_steps=10, checkpoint_dir=tmp_path, val_batches=VALIDATION)
    _, history = run(max_steps=20, checkpoint_dir=tmp_path, val_batches=VALIDATION, resume="last")
    assert history["step"] == [10, 20]
    assert history["val_step"] == [10, 20]


def test_resume_from_a_path_and_refusals(tmp_path):
    run(max_steps=5, checkpoint_dir=tmp_path, val_batches=VALIDATION)
    _, history = run(max_steps=9, resume=tmp_path / "best.ckpt")
    assert history["step"][-1] == 9
    with pytest.raises(ValueError, match="resume='last' needs checkpoint_dir"):
        run(resume="last")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.ckpt"):
        run(resume=tmp_path / "nowhere.ckpt")
    other = LabelRegressor.build(
        ViTConfig.reference(n_pixels=N_PIXELS, width=16, heads=2, depth=2), ("a", "b"), encoding="none"
    )
    with pytest.raises(ValueError, match="regressor of another shape"):
        run(other, resume=tmp_path / "last.ckpt")


def test_early_stopping_returns_the_best_weights():
    class Worsening(Batches):
        """Good labels for 40 steps, then noise: validation turns."""

        def __iter__(self):
            for flux, ivar, labels in super().__iter__():
                yield flux, ivar, labels if self.step < 60 else 10 + 30 * torch.randn(len(flux), 2)

    regressor, history = run(
        batches=Worsening(), max_steps=2000, val_every_steps=10, patience=3, val_batches=VALIDATION
    )
    assert history["val_step"][-1] < 2000
    best = min(range(len(history["val_loss"])), key=history["val_loss"].__getitem__)
    assert len(history["val_loss"]) - 1 - best == 3
    flux, ivar, labels = (torch.cat(parts) for parts in zip(*VALIDATION, strict=True))
    mae = (regressor.predict(flux, ivar)[0] - labels).abs().mean(0)[0].item()
    assert history["val_mae_a"][best] == pytest.approx(mae, rel=1e-4)


def test_time_limit_stops_with_a_checkpoint_and_a_validation(tmp_path):
    start = time.monotonic()
    _, history = run(
        max_steps=10**6,
        val_batches=VALIDATION,
        checkpoint_dir=tmp_path,
        max_minutes=0.02,
        val_every_steps=10**5,
    )
    assert 1 < time.monotonic() - start < 10
    assert history["val_step"] == [history["step"][-1]]
    assert (tmp_path / "last.ckpt").exists()


def test_finite_sources_go_round_and_iterators_end():
    _, history = run(batches=[make_batch(0), make_batch(1)], max_steps=30)
    assert history["step"] == [10, 20, 30]
    _, history = run(batches=(make_batch(step) for step in range(7)), val_batches=VALIDATION, max_steps=30)
    assert history["step"] == history["val_step"] == [7]
    with pytest.raises(ValueError, match="train_batches must yield at least one batch"):
        run(batches=[])
    with pytest.raises(TypeError, match="val_batches must be re-iterable"):
        run(val_batches=iter(VALIDATION))
    with pytest.raises(ValueError, match="val_batches must yield at least one batch"):
        run(val_batches=[])


def test_data_loader_and_its_shuffling_follow_the_seed():
    data = TensorDataset(*make_batch(0, 100))

    def once():
        torch.randn(3)  # whatever happened to the global state before
        loader = DataLoader(data, batch_size=32, shuffle=True)
        return run(batches=loader, seed=7, val_batches=DataLoader(data, batch_size=64))[0]

    same_weights(once(), once())


def test_stream_continues_where_it_stopped():
    stream = BatchStream([0, 1, 2], 8)
    assert list(stream) == [0, 1, 2, 0, 1, 2, 0, 1]
    stream.start = 5
    assert list(stream) == [2, 0, 1]


def test_the_global_random_state_and_settings_are_left_alone():
    torch.manual_seed(11)
    expected = torch.randn(3)
    for seed in (0, 1):
        regressor = make_regressor(dropout=0.5)
        torch.manual_seed(11)
        run(regressor, seed=seed, max_steps=3)
        assert torch.equal(torch.randn(3), expected)
    assert torch.get_float32_matmul_precision() == "highest"


def test_seed_decides_dropout():
    a, b, c = (run(make_regressor(dropout=0.5), seed=seed, max_steps=5)[0] for seed in (1, 1, 2))
    same_weights(a, b)
    assert not torch.equal(a.network.head.weight, c.network.head.weight)


def test_nothing_is_written_and_nothing_is_said(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    run(val_batches=VALIDATION)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_progress_bar(capfd):
    train(make_regressor(), Batches(), TrainingConfig(max_steps=6, log_every_steps=2), val_batches=VALIDATION)
    assert "6/6" in "".join(capfd.readouterr())


def test_unknown_labels_and_unusable_spectra_carry_no_loss():
    flux, ivar, labels = make_batch(0)
    dirty = [torch.cat([values, values[:8]]) for values in (flux, ivar, labels)]
    dirty[1][64:68] = 0  # nothing known of the spectrum
    dirty[2][64:] = torch.nan  # nor of the labels
    clean, _ = run(make_regressor().double(), [(flux, ivar, labels)])
    other, _ = run(make_regressor().double(), [tuple(dirty)])
    same_weights(clean, other, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_precisions_give_back_what_they_were_given(precision):
    regressor, history = run(precision=precision)
    assert regressor.label_scale.dtype == torch.float32
    assert all(p.dtype == torch.float32 for p in regressor.parameters())
    assert history["train_loss"][-1] < history["train_loss"][0]


def test_double_regressor_trains_in_double():
    regressor, _ = run(make_regressor().double())
    assert regressor.network.head.weight.dtype == torch.float64


def test_divergence_is_an_error():
    with pytest.raises(FloatingPointError, match="training loss is nan at step 10: lower learning_rate"):
        run(
            make_regressor(heteroscedastic=False),
            loss="mse",
            learning_rate=1e30,
            min_learning_rate=1e29,
            max_steps=50,
        )


def test_compiled_training_leaves_a_plain_module(monkeypatch):
    compiled_calls, released = [], []
    monkeypatch.setattr(LabelModule, "release_graphs", lambda module: released.append(module))

    def compiled(function, *, mode=None):
        """In place of torch.compile, which is not ours to test and takes a compiler."""
        assert mode is None  # CUDA graphs are for GPUs

        def call(*args, **kwargs):
            compiled_calls.append(1)
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    regressor = make_regressor()
    keys = list(regressor.state_dict())
    run(regressor, compile=True)
    n = len(compiled_calls)
    assert n > 0 and len(released) == 1 and list(regressor.state_dict()) == keys
    regressor.predict(*make_batch(0)[:2])
    assert len(compiled_calls) == n


@pytest.mark.parametrize("in_main_thread", [True, False])
def test_graphs_are_of_the_main_thread_and_are_not_kept(monkeypatch, in_main_thread):
    """What is compiled is watched as it dies; there is no GPU for graphs themselves."""
    modes, made = [], []

    class Compiled:
        def __init__(self, graph, given):
            self.graph = graph
            made.append(weakref.ref(self))

        def __call__(self, *given):
            return self.graph.forward(*given)

    def compiled(function, *, mode=None, original=torch.compile):
        modes.append(mode)
        return original(function, backend=Compiled)

    monkeypatch.setattr(torch, "compile", compiled)
    module = LabelModule(make_regressor(), TrainingConfig())

    def step():
        module.compile_step(graphs=True)
        module._summed(make_batch(0))[0].backward()

    if in_main_thread:
        step()
    else:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(step).result()
    assert modes == ["reduce-overhead" if in_main_thread else None, None]
    gc.collect()
    assert [one() is None for one in made] == [False]
    module.release_graphs()
    assert [one() is None for one in made] == [in_main_thread]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "l2"}, "loss must be one of"),
        ({"max_steps": 0}, "max_steps must be an integer >= 1, got 0"),
        ({"warmup_steps": 10, "max_steps": 10}, "warmup_steps must be less than max_steps=10, got 10"),
        ({"min_learning_rate": 1.0}, r"min_learning_rate must be a number in \[0, 0.0003\], got 1.0"),
        ({"ema_decay": 1.0}, r"ema_decay must be a number in \[0, 1\), got 1.0"),
        ({"precision": "16"}, "precision must be one of"),
        ({"betas": (0.9,)}, "betas must be two numbers"),
        ({"patience": 0}, "patience must be an integer >= 1"),
        ({"gradient_clip": 0}, "gradient_clip must be a number"),
    ],
)
def test_a_bad_configuration_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**change)


def test_configuration_survives_json():
    config = TrainingConfig(betas=(0.9, 0.98), patience=3)
    assert TrainingConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ValueError, match="did you mean 'learning_rate'"):
        TrainingConfig.from_dict({"learningrate": 1})


def test_options_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="loss='mse' needs heteroscedastic=False"):
        run(loss="mse")
    with pytest.raises(ValueError, match="patience needs val_batches"):
        run(patience=2)
    with pytest.raises(ValueError, match="precision='16-mixed' needs a GPU"):
        run(precision="16-mixed")
    with pytest.raises(ValueError, match="max_minutes must be a number"):
        run(max_minutes=0)


def test_importing_and_predicting_need_no_lightning_nor_astropy():
    code = (
        "import sys, torch\n"
        "from specvit.network import LabelRegressor, SpectrumViT, TrainingConfig, ViTConfig, train\n"
        "model = LabelRegressor.build(ViTConfig(n_pixels=8, width=8, depth=1), 'logg')\n"
        "model.predict(torch.ones(1, 8), torch.ones(1, 8)); TrainingConfig()\n"
        "unwanted = ('lightning', 'astropy', 'specutils', 'sklearn', 'pandas')\n"
        "print([name for name in unwanted if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
