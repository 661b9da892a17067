"""Where quadrature of a callable is cut into pieces."""

import numpy as np
import pytest

from signals.quadrature import cuts


@pytest.mark.parametrize("x", [-0.95, -0.2, 0.15, 0.65, 1.25])
def test_pieces_end_where_the_boundary_rule_bends_the_callable(x):
    edges = np.array([-0.8, -0.1, 0.0, 0.3, 0.9])
    found = cuts(edges, x, "clamp")
    assert set(edges) <= set(found) and (np.diff(found) > 0).all()
    # f(x - t) bends where x - t is an end of the box, or of those that reflections repeat it in.
    bends = [x - end for end in (-1, 1, -3, 3) if -0.8 < x - end < 0.9]
    np.testing.assert_allclose(sorted(set(found) - set(edges)), sorted(bends), atol=1e-12)
    np.testing.assert_array_equal(cuts(edges, x, "extend"), edges)
