"""What the error of a grid of samples is estimated with."""

import numpy as np

from kernels.minimal import bspline
from signals.estimate import hat_integrals


def test_hats_and_b_splines_add_up_and_agree_with_fine_sums():
    samples = np.linspace(-1.5, 1.5, 31)
    for order in (0, 1, 2):
        matrix = hat_integrals(np.linspace(-0.9, 0.9, 7), samples, order, 0.33)
        np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-13)
        y = np.linspace(-0.33, 0.33, 400_001)[:-1] + 0.33 / 400_000
        density = bspline(order, 0.33)(y)
        place = np.clip(1 - np.abs(0.6 - y[:, None] - samples) / 0.1, 0, None)
        np.testing.assert_allclose(matrix[5], density @ place * 0.66 / 400_000, atol=1e-7)
