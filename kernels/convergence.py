"""How the error of a fit falls with the number of Diracs: like K^-(p + 1), or faster, for kernels without a step."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure

from files import atomic_write
from kernels.fit import FitErrors, fit_errors
from kernels.sparse import SparseKernel
from kernels.target import Target

ORDERS = (0, 1, 2)
# Diracs per axis: even, as the middle one of a symmetric kernel of even order has no weight.
COUNTS = (6, 8, 12, 16, 24, 32, 48)
COLOURS = ("#1b9e77", "#d95f02", "#7570b3")

Sweep = Mapping[int, Mapping[int, FitErrors]]


def sweep(build: Callable[[int, int], SparseKernel], target: Target, counts: Sequence[int] = COUNTS) -> Sweep:
    """The errors of `build(order, count)` against `target` for orders 0 to 2, by order and count."""
    return {order: {count: fit_errors(build(order, count), target) for count in counts} for order in ORDERS}


def save_sweep(figure: Path, table: Path, found: Sweep) -> None:
    """Write a sweep as a `.png` figure and as a `.json` table."""
    with atomic_write(figure) as stream:
        sweep_figure(found).savefig(stream, format="png", dpi=120)
    rows = {
        f"order {order}": [{"count": count, **asdict(errors)} for count, errors in row.items()]
        for order, row in found.items()
    }
    with atomic_write(table) as stream:
        stream.write((json.dumps(rows, indent=2) + "\n").encode())


def sweep_figure(found: Sweep) -> Figure:
    """Relative L2 and largest error over the Diracs per axis, with K^-(p + 1) dotted beside each order."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    measures = {"relative L2 error": "relative_l2", "largest error / peak": "max_error"}
    for axes, (title, measure) in zip(figure.subplots(1, 2), measures.items(), strict=True):
        for (order, row), colour in zip(found.items(), COLOURS, strict=True):
            counts, errors = list(row), [getattr(each, measure) for each in row.values()]
            axes.loglog(counts, errors, "o-", color=colour, label=f"order {order}")
            guide = [errors[0] * (counts[0] / count) ** (order + 1) for count in counts]
            axes.loglog(counts, guide, ":", color=colour)
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.minorticks_off()
        axes.set_xlabel("Diracs per axis")
        axes.set_title(title, fontsize="medium")
        axes.legend(fontsize="small", frameon=False)
    return figure
