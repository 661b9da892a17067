"""The separable field, one choice changed at a time: what each is worth in equal time."""

from typing import Any

from benchmarks.measure import Settings
from benchmarks.runs import ASTRONAUT, SIZES, train

SECONDS = 8.0
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "width 64": {"num_channels": 64},
    "width 192": {"num_channels": 192},
    "1 hidden layer": {"num_layers": 1},
    "3 hidden layers": {"num_layers": 3},
    "sine factors": {"factor": "sine"},
    "6 bands": {"pe": 6},
    "10 bands": {"pe": 10},
    "core of 12,500 entries": {"core_size": 12_500},
    "core of 25,000 entries": {"core_size": 25_000},
    "1 level": {"levels": 1},
    "learning rate 3e-3": {"learn_rate": 3e-3},
    "learning rate 2e-2": {"learn_rate": 2e-2},
    "Adam": {"optimizer": "adam"},
}


def run(settings: Settings) -> dict[str, Any]:
    """Every variant for the same time on the same picture."""
    found = []
    for name, options in list(VARIANTS.items())[: settings.choose(None, 3)]:
        budget = settings.choose(SECONDS, 0.5)
        done = train(ASTRONAUT, time_budget=budget, seed=settings.seed, **options)
        found.append({"variant": name, "budget": budget} | done.to_dict())
    return {"sizes": list(SIZES), "runs": found, "bars": []}
