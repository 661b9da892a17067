"""Where quadrature of a callable is cut into pieces, and how often the callable is asked."""

import numpy as np
import pytest

from kernels import minimal_kernel
from modalities import CALLABLES
from signals import quadrature
from signals.quadrature import convolved_somewhere, cuts


@pytest.mark.parametrize("x", [-0.95, -0.2, 0.15, 0.65, 1.25])
def test_pieces_end_where_the_boundary_rule_bends_the_callable(x):
    edges = np.array([-0.8, -0.1, 0.0, 0.3, 0.9])
    found = cuts(edges, x, "clamp")
    assert set(edges) <= set(found) and (np.diff(found) > 0).all()
    # f(x - t) bends where x - t is an end of the box, or of those that reflections repeat it in.
    bends = [x - end for end in (-1, 1, -3, 3) if -0.8 < x - end < 0.9]
    np.testing.assert_allclose(sorted(set(found) - set(edges)), sorted(bends), atol=1e-12)
    np.testing.assert_array_equal(cuts(edges, x, "extend"), edges)


def test_a_callable_is_asked_as_often_as_its_budget_says(monkeypatch):
    """The coarser quadrature, which says how good the truth is, asks for little more."""
    asked = []

    def waves(points):
        asked.append(len(points))
        return np.cos(9 * points).sum(axis=-1, keepdims=True)

    signal = CALLABLES.from_callable(waves, dim=2)
    monkeypatch.setattr(quadrature, "EVALUATIONS", 1 << 18)
    asked.clear()
    truth, rows, quality = convolved_somewhere(signal, minimal_kernel(1, 0.25, 2), (0, 1), "extend")
    assert len(truth) == len(rows) == 256
    assert (1 << 18) * 0.9 < sum(asked) < (1 << 18) * 1.2
    # The mean of cos(9 x) under a tent is that at its middle, times a square of sinc.
    places = np.stack(np.unravel_index(rows, signal.shape), -1) * 2 / (np.array(signal.shape) - 1) - 1
    wanted = np.cos(9 * places).sum(axis=-1, keepdims=True) * np.sinc(9 * 0.25 / (2 * np.pi)) ** 2
    error = -10 * np.log10(np.mean((truth - wanted) ** 2) / 4)
    assert 60 < quality <= error + 3
