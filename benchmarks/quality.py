"""Quality against training time: fields, batch kinds, optimisers and kinds of supervision."""

from dataclasses import dataclass
from typing import Any

from benchmarks.measure import Bar, Settings
from benchmarks.pool import in_turn
from benchmarks.runs import ASTRONAUT, PICTURES, SIZES, train

BUDGETS = (15.0, 30.0, 60.0)
LONG = (120.0, 300.0)
# The first three methods differ in kind, the others in one choice: only those are followed to the end.
FOLLOWED = 3
DEFAULT = "separable, projection"
SOLVED = "separable of splines, solved"
# Options of every method; one thing differs from one of the first three each time.
METHODS: dict[str, dict[str, Any]] = {
    DEFAULT: {"field": "separable"},
    "mlp, lattice, Muon": {"field": "mlp"},
    "siren, lattice, Adam": {"field": "siren", "optimizer": "adam"},
    "separable, lattice, Muon": {"field": "separable", "supervision": "lattice"},
    "mlp, lattice, Adam": {"field": "mlp", "optimizer": "adam"},
    "siren, lattice, Muon": {"field": "siren"},
    "mlp, points, Muon": {"field": "mlp", "supervision": "points"},
    "mlp, autodiff, Muon": {"field": "mlp", "supervision": "autodiff", "batch": 512},
}
LEAST = {15.0: (40, 53, 64, 72), 60.0: (50, 60, 72, 80)}
LARGEST_STORED = 0.5e6


@dataclass(frozen=True)
class Task:
    """One run: a method on a picture for a budget in seconds (0: it is solved, not trained)."""

    method: str
    picture: str
    budget: float
    seed: int

    def run(self) -> dict[str, Any]:
        """Train, and say how good it is; a solved field is timed by what preparing it took."""
        if self.budget:
            done = train(self.picture, **METHODS[self.method], time_budget=self.budget, seed=self.seed)
        else:
            done = train(self.picture, factor="spline", num_steps=1, seed=self.seed)
        entry = {"method": self.method, "picture": self.picture, "budget": self.budget} | done.to_dict()
        return entry if self.budget else entry | {"budget": entry["set_up"]}


def tasks(settings: Settings) -> list[Task]:
    """Every method on the astronaut, the default and the solved one on all pictures; budgets outermost, so that
    methods take turns. Each budget is a run of its own, as schedules end with it."""
    found = [Task(SOLVED, picture, 0.0, settings.seed) for picture in PICTURES]
    for budget in settings.choose(BUDGETS + (LONG if settings.long else ()), (0.3,)):
        for method in list(METHODS)[: FOLLOWED if budget in LONG else None]:
            others = PICTURES if method == DEFAULT and budget in LEAST else (ASTRONAUT,)
            found += [Task(method, picture, budget, settings.seed) for picture in others]
    return found


def run(settings: Settings) -> dict[str, Any]:
    """All of the above, one thread each."""
    found = in_turn(Task.run, tasks(settings), "quality")
    return {"sizes": list(SIZES), "runs": found, "bars": [bar.to_dict() for bar in bars(found)]}


def bars(runs: list[dict[str, Any]]) -> list[Bar]:
    """The default field on every picture."""
    found = []
    for entry in runs:
        if entry["method"] != DEFAULT or entry["budget"] not in LEAST:
            continue
        for size, wanted, psnr in zip(SIZES, LEAST[entry["budget"]], entry["psnr"], strict=True):
            text = f"{entry['picture']}, {entry['budget']:g} s, half size {size:g}: PSNR, dB"
            found.append(Bar(text, wanted, psnr))
        text = f"{entry['picture']}, {entry['budget']:g} s: stored field, bytes"
        found.append(Bar(text, LARGEST_STORED, entry["stored"], at_least=False))
    return found
