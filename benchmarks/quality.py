"""Quality against training time: fields, batch kinds, optimisers and kinds of supervision."""

from typing import Any

from benchmarks.measure import Bar, Settings
from benchmarks.runs import ASTRONAUT, PICTURES, SIZES, train

BUDGETS = (15.0, 30.0, 60.0)
LONG = (120.0, 300.0)
# Options of every method and the budgets it is given; each budget is a run of its own, as schedules end with it.
METHODS: dict[str, tuple[dict[str, Any], tuple[float, ...]]] = {
    "separable, projection": ({"field": "separable"}, (15.0, 60.0)),
    "separable, lattice": ({"field": "separable", "supervision": "lattice"}, (60.0,)),
    "mlp, lattice": ({"field": "mlp"}, BUDGETS),
    "siren, lattice": ({"field": "siren"}, (15.0, 60.0)),
    "mlp, lattice, Adam": ({"field": "mlp", "optimizer": "adam"}, (30.0,)),
    "mlp, points": ({"field": "mlp", "supervision": "points"}, (30.0,)),
    "mlp, autodiff": ({"field": "mlp", "supervision": "autodiff"}, (30.0,)),
}
DEFAULT = next(iter(METHODS))
LEAST = {15.0: (40, 53, 64, 72), 60.0: (50, 60, 72, 80)}
LARGEST_STORED = 0.5e6


def run(settings: Settings) -> dict[str, Any]:
    """Every method on the astronaut, the default one on all pictures; budgets outermost, so that methods take turns."""
    budgets = settings.choose(BUDGETS + (LONG if settings.long else ()), (0.3,))
    found = []
    for budget in budgets:
        for name, (options, own) in METHODS.items():
            if budget not in own and budget not in LONG and not settings.quick:
                continue
            for picture in PICTURES if name == DEFAULT else (ASTRONAUT,):
                done = train(picture, **options, time_budget=budget, seed=settings.seed)
                found.append({"method": name, "picture": picture, "budget": budget} | done.to_dict())
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
