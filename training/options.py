"""One table of a run's options; the command line, the checks, resuming and the warnings all follow from it.

An option is one line of `Options`: its type, default, range or choices, help, and with what it has an effect.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from models.config import FACTORS, KINDS, layers_of
from training.pyramid import LOSSES

SUPERVISIONS = ("projection", "lattice", "points", "autodiff")
OPTIMIZERS = ("muon", "adam")
SCHEDULES = ("cosine", "step")
# What an option has an effect with: options and their values.
Readers = dict[str, tuple[str, ...]]
EVERY: Readers = {}
SEPARABLE: Readers = {"field": ("separable",)}
POINTWISE: Readers = {"field": ("siren", "mlp")}
SWISH: Readers = {"layers": ("swish",)}
SINE: Readers = {"layers": ("sine",)}
SPLINE: Readers = {"layers": ("spline",)}
NETWORKS: Readers = {"layers": ("swish", "sine")}
STEPPED: Readers = {**NETWORKS, "schedule": ("step",)}
COSINE: Readers = {**NETWORKS, "schedule": ("cosine",)}


def number(default: float, low: float, high: float, text: str, readers: Readers = EVERY) -> Any:
    """A number from `low` to `high`, with its help `text` and what reads it."""
    return dataclasses.field(default=default, metadata={"range": (low, high), "help": text, "readers": readers})


def choice(default: Any, choices: Iterable[Any], text: str, readers: Readers = EVERY) -> Any:
    """One of `choices`, with its help `text` and what reads it."""
    return dataclasses.field(default=default, metadata={"choices": tuple(choices), "help": text, "readers": readers})


@dataclasses.dataclass(frozen=True)
class Options:
    """A run's options, all of them resolved; raises ValueError for values out of range.

    num_steps or time_budget (seconds) of 0 is no such limit; accuracy (dB) of 0 is as much as the core holds, of -1 as
    many ranks as 75 dB require, or as a core of 50,000 entries holds if those are more; knots of 0 are 4, or 6 where 4
    hold the truth to less; pe of -1, omega_0 of 0 and precision of 0 follow from training kernel and supervision.
    """

    field: str = choice("separable", KINDS, "Kind of field.")
    supervision: str = choice("projection", SUPERVISIONS, "Closed-form heads, lattices, points or derivatives.")
    num_channels: int = number(128, 1, 8192, "Width of hidden layers; at most the samples of a 1-D axis.", NETWORKS)
    num_layers: int = number(2, 1, 64, "Hidden layers.", NETWORKS)
    pe: int = number(-1, -1, 24, "Bands of the positional encoding; -1: from the training kernel.", SWISH)
    norm_exp: float = number(1.0, 0, 10, "Bands are divided by their frequency to this power.", SWISH)
    omega_0: float = number(0.0, 0, 1000, "Frequency of sine layers; 0: from the training kernel.", SINE)
    split: int = number(0, 0, 63, "First layers that see one coordinate each; 0: all layers see all.", POINTWISE)
    factor: str = choice("swish", FACTORS, "Factors: networks of swish or sine layers, or splines.", SEPARABLE)
    knots: float = number(
        0.0,
        0,
        64,
        "Knots of splines per distance of the training kernel's Diracs; 0: 4, or 6 if they hold more.",
        SPLINE,
    )
    core_size: int = number(1_000_000, 1, 1 << 26, "Most entries of a separable field's core.", SEPARABLE)
    poly_degree: int = number(2, 0, 8, "Degree of the polynomial part, after differentiation.")
    optimizer: str = choice("muon", OPTIMIZERS, "Muon on hidden matrices with Adam on the rest, or Adam.", NETWORKS)
    learn_rate: float = number(3e-3, 1e-9, 10, "First learning rate.", NETWORKS)
    schedule: str = choice("cosine", SCHEDULES, "Cosine over the budget, or the authors' steps.", NETWORKS)
    warm_up: int = number(20, 1, 1 << 40, "Steps over which the learning rate rises.", COSINE)
    schedule_step: int = number(10_000, 1, 1 << 40, "Steps between cuts of the learning rate.", STEPPED)
    schedule_gamma: float = number(0.5, 1e-6, 1, "Factor of each cut.", STEPPED)
    loss: str = choice("l1", LOSSES, "Loss of every pyramid level.", POINTWISE)
    levels: int = number(4, 1, 16, "Levels of the residual pyramid: 1, 2, 4, ... times the training kernel.")
    batch: int = number(4096, 1, 1 << 26, "Supervised points per step.", POINTWISE)
    num_steps: int = number(0, 0, 1 << 40, "Budget in steps.")
    time_budget: float = number(0.0, 0, 1e8, "Budget in seconds of training.")
    accuracy: float = number(
        -1.0,
        -1,
        300,
        "Fewest ranks that keep this PSNR in dB; 0: all the core holds; -1: 75 or 50,000 entries.",
        SEPARABLE,
    )
    precision: int = choice(0, (0, 32, 64), "Bits of the networks' arithmetic; 0: from the supervision.", NETWORKS)
    seed: int = number(0, 0, (1 << 63) - 1, "Seed of everything random.")

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            object.__setattr__(self, entry.name, _checked(entry, getattr(self, entry.name)))
        if not (self.num_steps or self.time_budget):
            raise ValueError("give a budget: --num_steps N or --time_budget SECONDS")
        if (self.supervision == "projection") != (self.field == "separable"):
            required = "separable" if self.supervision == "projection" else "mlp or siren"
            raise ValueError(f"--supervision {self.supervision} requires --field {required}")

    @property
    def layers(self) -> str:
        """What the field is made of: swish or sine layers, or splines."""
        return layers_of(self.field, self.factor)

    def without_effect(self, names: Iterable[str]) -> list[str]:
        """One warning for each of the options `names` that a run with these options never reads."""
        warnings = []
        for entry in dataclasses.fields(self):
            for key, values in entry.metadata["readers"].items():
                if entry.name in names and getattr(self, key) not in values:
                    cause = ("factor" if self.field == "separable" else "field") if key == "layers" else key
                    warnings.append(f"--{entry.name} has no effect with --{cause} {getattr(self, cause)}")
                    break
        return warnings

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint or a JSON file."""
        return dataclasses.asdict(self)


def _checked(entry: dataclasses.Field, value: Any) -> Any:
    """`value` in the option's type; raises ValueError where it is none of its choices or out of its range."""
    kind, choices = entry.type, entry.metadata.get("choices")
    low, high = entry.metadata.get("range", (None, None))
    try:
        typed = kind(value)  # type: ignore[operator]
        valid = typed == value and (typed in choices if choices else low <= typed <= high)
    except (TypeError, ValueError, OverflowError):
        valid = False
    if not valid:
        allowed = f"one of {', '.join(map(str, choices))}" if choices else f"a number from {low} to {high}"
        raise ValueError(f"--{entry.name} must be {allowed}, not {value!r}")
    return typed


LATTICES = {"supervision": "lattice", "loss": "l2", "time_budget": 280.0}
# Heads in closed form leave the networks gradients that allow larger steps; weights between sine layers are smaller
# by omega_0, and so are their steps. Networks of all coordinates begin with layers that see one coordinate each.
RECIPES: dict[str, dict[str, Any]] = {
    "separable": {"time_budget": 60.0, "learn_rate": 1e-2},
    "siren": LATTICES | {"loss": "l1", "learn_rate": 5e-4, "omega_0": 30.0, "split": 2, "num_layers": 3,
                         "num_channels": 96},
    "mlp": LATTICES | {"pe": 7, "learn_rate": 1e-2, "split": 1, "num_channels": 112},
}  # fmt: skip
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "field": "mlp", "supervision": "points", "num_channels": 256, "num_layers": 4, "split": 0, "pe": 4,
        "norm_exp": 0.0, "omega_0": 15.0, "poly_degree": 0, "optimizer": "adam", "learn_rate": 1e-3,
        "schedule": "step", "schedule_step": 10_000, "schedule_gamma": 0.5, "loss": "l1", "levels": 1,
        "batch": 16_384, "num_steps": 300_000, "time_budget": 0.0,
    },
}  # fmt: skip


def resolve(asked: Mapping[str, Any], preset: str | None = None) -> Options:
    """The field's recipe, overridden by the preset and then by what is `asked` (None: not asked).

    Raises ValueError for unknown options, fields and presets, and for values out of range.
    """
    chosen = {name: value for name, value in asked.items() if value is not None}
    if unknown := sorted(set(chosen) - {entry.name for entry in dataclasses.fields(Options)}):
        raise ValueError(f"unknown training options: {', '.join(unknown)}")
    if preset is not None and preset not in PRESETS:
        raise ValueError(f"--preset must be one of {', '.join(PRESETS)}, not {preset!r}")
    overrides = (PRESETS[preset] if preset else {}) | chosen
    kind = overrides.get("field", "separable")
    recipe = dict(RECIPES.get(kind, {}))
    if kind == "separable" and overrides.get("factor") == "sine":
        recipe["learn_rate"] = 1e-4
    merged = recipe | overrides
    # A budget that was asked for replaces the recipe's; both together mean whichever ends first.
    if chosen.get("num_steps") and "time_budget" not in chosen:
        merged["time_budget"] = 0.0
    if chosen.get("time_budget") and "num_steps" not in chosen:
        merged["num_steps"] = 0
    return Options(**merged)


def resumed(stored: Any, asked: Mapping[str, Any]) -> Options:
    """The options a run was started with, as its state has `stored` them; raises ValueError where others are asked."""
    try:
        options = Options(**stored)
    except TypeError as error:
        raise ValueError(f"current.pth is not the state of a run ({error}): start a new run without --resume") from None
    changed = [name for name, value in asked.items() if value is not None and getattr(options, name, None) != value]
    if changed:
        raise ValueError(
            f"this run was started with other values of --{', --'.join(changed)}: leave them out, or start a new run"
        )
    return options
