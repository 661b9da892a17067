"""Every choice of a training run, resolved: the field's recipe, then a preset, then what the user asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from models.field import FACTORS, KINDS
from training.pyramid import LOSSES

SUPERVISIONS = ("projection", "lattice", "points", "autodiff")
OPTIMIZERS = ("muon", "adam")
SCHEDULES = ("cosine", "step")


@dataclass(frozen=True)
class Options:
    """A run's resolved options; raises ValueError for values that cannot be meant.

    num_steps or time_budget (seconds) of 0 means no such limit, accuracy (dB) of 0 as much as the core holds; pe of
    -1, omega_0 of 0 and precision of 0 choose themselves from the training kernel and the supervision. Learning
    rates follow `schedule` over the share of the budget spent.
    """

    field: str = "separable"
    supervision: str = "projection"
    num_channels: int = 128
    num_layers: int = 2
    pe: int = -1
    norm_exp: float = 1.0
    omega_0: float = 0.0
    factor: str = "swish"
    knots: float = 4.0
    core_size: int = 50_000
    poly_degree: int = 2
    optimizer: str = "muon"
    learn_rate: float = 3e-3
    schedule: str = "cosine"
    schedule_step: int = 10_000
    schedule_gamma: float = 0.5
    loss: str = "l1"
    levels: int = 4
    batch: int = 4096
    num_steps: int = 0
    time_budget: float = 0.0
    accuracy: float = 0.0
    precision: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        choices = {"field": KINDS, "supervision": SUPERVISIONS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES}
        choices |= {"loss": tuple(LOSSES), "factor": FACTORS, "precision": (0, 32, 64)}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"--{name} must be one of {', '.join(map(str, allowed))}, not {getattr(self, name)!r}")
        ranges = {"num_channels": (1, 8192), "num_layers": (1, 64), "pe": (-1, 24), "norm_exp": (0, 10)}
        ranges |= {"omega_0": (0, 1000), "core_size": (1, 1 << 26), "poly_degree": (0, 8), "learn_rate": (1e-9, 10)}
        ranges |= {"schedule_step": (1, 1 << 40), "schedule_gamma": (1e-6, 1), "levels": (1, 16), "batch": (1, 1 << 26)}
        ranges |= {
            "knots": (0.1, 64),
            "accuracy": (0, 300),
            "num_steps": (0, 1 << 40),
            "time_budget": (0, 1e8),
            "seed": (0, (1 << 63) - 1),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"--{name} must lie in {low}..{high}, not {getattr(self, name)}")
        if not (self.num_steps or self.time_budget):
            raise ValueError("give a budget: --num_steps N or --time_budget SECONDS")
        if self.supervision == "projection" and self.field != "separable":
            raise ValueError(f"--supervision projection solves separable fields only; use lattice with {self.field}")
        if self.factor == "spline" and self.field == "separable" and self.supervision != "projection":
            raise ValueError("splines are solved for, not descended on: --factor spline needs --supervision projection")

    @property
    def layers(self) -> str:
        """What the field is made of: swish or sine layers, or splines."""
        return {"siren": "sine", "mlp": "swish"}.get(self.field, self.factor)

    def unread(self, names: Iterable[str]) -> list[str]:
        """Those of the options `names` that a run with these options never looks at."""
        read = {
            "factor": self.field == "separable",
            "knots": self.layers == "spline",
            "pe": self.layers == "swish",
            "norm_exp": self.layers == "swish",
            "omega_0": self.layers == "sine",
            "core_size": self.supervision == "projection",
            "accuracy": self.supervision == "projection",
            "schedule_step": self.schedule == "step",
            "schedule_gamma": self.schedule == "step",
        }
        read |= dict.fromkeys(("batch", "loss"), self.supervision != "projection")
        descends = self.layers != "spline"
        trained = ("num_channels", "num_layers", "optimizer", "learn_rate", "schedule", "precision")
        read |= {name: descends and read.get(name, True) for name in (*trained, "schedule_step", "schedule_gamma")}
        return [name for name in names if not read.get(name, True)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint or a JSON file."""
        return asdict(self)


# Exact heads leave the networks gradients that bear larger steps.
PROJECTION_RATE = 1e-2
# Weights between sine layers are smaller by omega_0, and so are the steps they bear.
SINE_RATE = 1e-4
POINTWISE = {"supervision": "lattice", "num_layers": 2, "loss": "l2", "time_budget": 280.0}
RECIPES: dict[str, dict[str, Any]] = {
    "separable": {"time_budget": 60.0},
    "siren": POINTWISE | {"loss": "l1", "learn_rate": 1e-3, "omega_0": 15.0},
    "mlp": POINTWISE | {"pe": 6},
}
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "field": "mlp", "supervision": "points", "num_channels": 256, "num_layers": 4, "pe": 4, "norm_exp": 0.0,
        "poly_degree": 0, "optimizer": "adam", "learn_rate": 1e-3, "schedule": "step", "schedule_step": 10_000,
        "schedule_gamma": 0.5, "loss": "l1", "levels": 1, "batch": 16_384, "num_steps": 300_000, "time_budget": 0.0,
    },
}  # fmt: skip


def resolve(asked: Mapping[str, Any], preset: str | None = None) -> Options:
    """The field's recipe, overridden by the preset and then by what was asked (None: not asked)."""
    chosen = {name: value for name, value in asked.items() if value is not None}
    names = {entry.name for entry in fields(Options)}
    unknown = sorted(set(chosen) - names)
    if unknown:
        raise ValueError(f"unknown options: {', '.join(unknown)}")
    if preset is not None and preset not in PRESETS:
        raise ValueError(f"--preset must be one of {', '.join(PRESETS)}, not {preset!r}")
    base = dict(PRESETS[preset]) if preset else {}
    kind = chosen.get("field", base.get("field", "separable"))
    if kind not in RECIPES:
        raise ValueError(f"--field must be one of {', '.join(RECIPES)}, not {kind!r}")
    merged = RECIPES[kind] | base | chosen
    # A budget that was asked for replaces the recipe's; both together mean whichever ends first.
    if chosen.get("num_steps") and "time_budget" not in chosen:
        merged["time_budget"] = 0.0
    if chosen.get("time_budget") and "num_steps" not in chosen:
        merged["num_steps"] = 0
    if kind == "separable" and merged.get("supervision") != "projection":
        merged.setdefault("batch", 50_000)
    if kind == "separable" and merged.get("factor") == "sine":
        merged.setdefault("learn_rate", SINE_RATE)
    if kind == "separable" and merged.get("supervision", "projection") == "projection":
        merged.setdefault("learn_rate", PROJECTION_RATE)
    return Options(**merged)


def resumed(stored: Any, asked: Mapping[str, Any]) -> Options:
    """The options a run was started with, as its state has `stored` them; raises ValueError where others are asked."""
    try:
        options = Options(**stored)
    except TypeError as error:
        raise ValueError(f"current.pth is not the state of a run ({error}): start anew without --resume") from None
    changed = [name for name, value in asked.items() if value is not None and getattr(options, name) != value]
    if changed:
        raise ValueError(
            f"this run was started with other values of --{', --'.join(changed)}: leave them out, or start anew"
        )
    return options
