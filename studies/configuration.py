"""`Configuration`: everything that decides one row of a study, and how long it is expected to take."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace

from specvit.checks import check_choice, check_integer, from_known_fields
from specvit.labels import LABELS
from specvit.network import ViTConfig
from specvit.weights import BUNDLED

__all__ = ["METHODS", "NETWORKS", "TARGETS", "Configuration", "seeds"]

#: Methods by name, and what they run on: a device of torch, or the cores of the host.
METHODS = {
    "vit": "device",
    "mlp": "device",
    "cnn": "device",
    "ridge": "device",
    "template": "device",
    "posterior": "device",
    "lightgbm": "cores",
    "finetune": "device",
    "head": "device",
}

#: How first weights are drawn, see `Configuration`.
INITIALISATIONS = (
    "normal",
    "tokenizer",
    "all",
    "tokenizer, positions",
    "unit positions",
    "tokenizer, unit positions",
)
#: Methods for a few stars of a target.
FEW_STARS = ("finetune", "head")
#: What a few stars are of, see `studies.targets.target_survey` and, for real ones, `studies.realstars`.
TARGETS = ("lines", "instrument", "stelib")

#: Shapes of the transformer that configurations start from. "compact" is made for grids of many runs: it
#: trains three times faster than the bundled shape.
NETWORKS = {
    "reference": ViTConfig.reference(),
    "bundled": ViTConfig(patch_size=32),  # that of the bundled weights `paper`
    "compact": ViTConfig(width=128, depth=4, heads=4, mlp=512),
}

# What configurations cost on an H100, to plan by: seconds of the reference's network per spectrum, of drawing
# a spectrum, per step whatever its size, and for compiling, testing and everything else.
_REFERENCE, _DRAWN, _STEP, _OVERHEAD = 1 / 13_900, 3e-6, 8e-3, 20.0
_PLAIN = {"mlp": 1e-6, "cnn": 8e-6}


@dataclass(frozen=True)
class Configuration:
    """One row of a study, but for the machine that it runs on.

    Attributes
    ----------
    method : str
        One of `METHODS`.
    network : {"reference", "bundled", "compact"}
        Shape of the transformer, see `NETWORKS`.
    changes : tuple of (str, value)
        Changes to this shape, by the fields of `specvit.network.ViTConfig`.
    options : tuple of (str, value)
        Arguments of a predictor that is not a network.
    encoding, labels, covariance, loss, label_scaling
        As for `specvit.network.LabelRegressor` and `specvit.network.TrainingConfig`.
    initialisation : str
        One of `INITIALISATIONS`. "normal" is that of the library, truncated normals of σ = 0.02. "tokenizer"
        leaves the tokenizer, "all" every matrix, as torch makes them: uniform within 1/√(inputs). With
        "positions" learned ones are thirty times larger, about the size of such tokens; with "unit positions"
        they and the class token are normal of σ = 1.
    spectra : int or None
        Stored stars of ``Survey("paper")``, seen with new noise each time; None for stars without end.
    weights : str or None
        Bundled weights that are fine-tuned, or whose last layer is fitted anew; None for random ones.
    target : str or None
        One of `TARGETS`: another survey, of which a few stars are learned and others tested.
    velocity : float
        Largest radial velocity of the stars that are trained on, in km/s.
    noise_level : float or (float, float)
        Noise of the training spectra, as for `specvit.survey.storedstars.StoredStars.observe`.
    warmup : float
        Share of the steps in which the learning rate rises.
    steps, batch_size, learning_rate, precision
        As for `specvit.network.TrainingConfig`; the first two make the budget.
    tests : tuple of str
        What is measured, see `studies.scoring.TESTS`.
    n_test : int
        Number of test stars.
    seed : int
        Seed of the stored stars, their noise, the network's first weights and its dropout. The test stars are
        always the same.
    """

    method: str = "vit"
    network: str = "compact"
    changes: tuple = ()
    options: tuple = ()
    encoding: str = "weighted"
    labels: tuple = LABELS
    covariance: bool = False
    loss: str = "gaussian_nll"
    label_scaling: str = "standard"
    initialisation: str = "normal"
    spectra: int | None = 200_000
    weights: str | None = None
    target: str | None = None
    velocity: float = 0.0
    noise_level: float | tuple = 1.0
    steps: int = 4000
    batch_size: int = 512
    learning_rate: float = 6e-4
    warmup: float = 0.05
    precision: str = "auto"
    tests: tuple = ("paper",)
    n_test: int = 10_000
    seed: int = 0

    def __post_init__(self):
        check_choice("method", self.method, METHODS)
        check_choice("network", self.network, NETWORKS)
        check_choice("initialisation", self.initialisation, INITIALISATIONS)
        if self.target is not None:
            check_choice("target", self.target, TARGETS)
        if self.weights is not None:
            check_choice("weights", self.weights, BUNDLED)
        if self.method in FEW_STARS and (
            self.target is None or (self.weights is None and self.method == "head")
        ):
            raise ValueError(
                f"target must be one of {TARGETS} for method={self.method!r}, and weights of {BUNDLED} for "
                f"'head', got {self.target!r} and {self.weights!r}"
            )
        for name in ("steps", "batch_size", "n_test"):
            check_integer(name, getattr(self, name), 1)
        for name in ("changes", "options"):  # JSON gives lists, and keys must not depend on the order
            object.__setattr__(self, name, tuple(sorted(tuple(pair) for pair in getattr(self, name))))
        for name in ("labels", "tests", "noise_level"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.spectra is None and (self.noise_level != 1 or self.method in ("ridge", "lightgbm")):
            raise ValueError(
                f"spectra must be a number for noise_level={self.noise_level!r} and method={self.method!r}"
            )
        self.shape  # noqa: B018  (checks the changes)

    @property
    def shape(self):
        """The `ViTConfig` of the transformer."""
        return replace(NETWORKS[self.network], **dict(self.changes))

    @property
    def lane(self):
        """ "device" or "cores": what it runs on."""
        return METHODS[self.method]

    @property
    def is_network(self):
        """Whether it is trained by steps, and can be interrupted."""
        return self.method in ("vit", "mlp", "cnn")

    @property
    def spectra_seen(self):
        """Spectra that training sees, repetitions of stars counted."""
        return self.steps * self.batch_size if self.is_network else self.spectra or 0

    @property
    def minutes(self):
        """Expected minutes on an H100, or on 20 cores: to plan by, not a measurement."""
        if self.is_network or self.method == "finetune":
            shape, seconds = self.shape, _PLAIN.get(self.method)
            if seconds is None:
                size = shape.sequence_length * shape.depth * shape.width / (257 * 6 * 256)
                seconds = size * _REFERENCE * (1.0 if shape.dropout else 0.85)
            step = max(_STEP, self.batch_size * (seconds + _DRAWN))
            return (self.steps * step + _OVERHEAD) / 60
        if self.method == "template":
            return 1.0 + self.n_test / 6000
        if self.method == "posterior":
            return 0.5 + self.n_test / 2400
        if self.method == "head":
            return _OVERHEAD / 60
        n = self.spectra / 1e6
        components = dict(self.options).get("n_components")
        return 0.3 + n * {"ridge": 1.0, "lightgbm": 4.0 if components else 20.0}[self.method]

    @property
    def key(self):
        """Name of the row: a digest of whatever differs from the defaults."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_dict(self):
        """What differs from the defaults, in plain JSON types, so that keys outlive new fields."""
        values = {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default or field.name == "method"
        }
        return json.loads(json.dumps(values))

    @classmethod
    def from_dict(cls, description):
        """The configuration of a `description` from `to_dict`."""
        return from_known_fields(cls, description)

    def columns(self):
        """All fields as a flat dict of plain values, for tables; the shape of the network among them."""
        values = {name: value for name, value in asdict(self).items() if name not in ("changes", "options")}
        values |= asdict(self.shape) if self.method == "vit" else {}
        values |= dict(self.options)
        return {
            name: ", ".join(map(str, value)) if isinstance(value, tuple) else value
            for name, value in values.items()
        }


def seeds(configurations, n):
    """Each of the `configurations` with seeds 0 to n − 1, a list."""
    return [replace(one, seed=seed) for one in configurations for seed in range(n)]
