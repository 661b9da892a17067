"""Sweeps over the number of Diracs: errors that fall like the orders say, drawn and tabulated."""

import json

import numpy as np

from kernels import library
from kernels.convergence import COUNTS, save_sweep, sweep, sweep_figure
from kernels.fit import fit_errors

TARGET = library.cubic(half_size=0.1).target()


def build(order: int, count: int):
    """The cubic B-spline by `count` Diracs."""
    return library.cubic(half_size=0.1, count=count).sparse(order)


def test_errors_fall_like_the_orders_say_and_are_tabulated(tmp_path):
    found = sweep(build, TARGET, (6, 24))
    save_sweep(tmp_path / "sweep.png", tmp_path / "sweep.json", found)
    assert (tmp_path / "sweep.png").read_bytes()[:4] == b"\x89PNG"
    rows = json.loads((tmp_path / "sweep.json").read_text())
    assert list(rows) == ["order 0", "order 1", "order 2"]
    for order in range(3):
        first, last = rows[f"order {order}"]
        assert (first["count"], last["count"]) == (6, 24)
        assert first["relative_l2"] == fit_errors(build(order, 6), TARGET).relative_l2
        assert last["relative_l2"] <= 1.1 * first["relative_l2"] * (6 / 24) ** (order + 1)


def test_figure_draws_errors_beside_what_the_orders_promise():
    found = sweep(build, TARGET, (6, 12))
    left, right = sweep_figure(found).axes
    assert (left.get_title(), right.get_title()) == ("relative L2 error", "largest error / peak")
    for axes, measure in ((left, "relative_l2"), (right, "max_error")):
        for order in range(3):
            errors = [getattr(row, measure) for row in found[order].values()]
            curve, guide = axes.lines[2 * order : 2 * order + 2]
            np.testing.assert_allclose(curve.get_xydata(), [(6, errors[0]), (12, errors[1])])
            np.testing.assert_allclose(guide.get_ydata(), [errors[0], errors[0] / 2 ** (order + 1)])


def test_counts_are_even_as_the_middle_of_an_odd_number_may_have_no_weight():
    assert not any(count % 2 for count in COUNTS)
