"""Ground truth of every modality, from its file on, against midpoint sums of its definition."""

import numpy as np
import pytest
from cases import make_case
from passages import make_truth

from kernels.minimal import bspline
from modalities import MODALITIES
from signals.ground_truth import GroundTruth
from signals.signal import coordinates, spacing

NODES = 4001


def average(values: np.ndarray, pad: int, samples: int, known: int, order: int, half_size: float) -> np.ndarray:
    """Along the first axis: the mean of f(x - t) under the B-spline, by midpoint sums over `NODES` values of t.

    `values` has `known` samples beyond [-1, 1] on either side, the result `pad`.
    """
    t = half_size * (np.arange(NODES) + 0.5 - NODES / 2) * 2 / NODES
    density = bspline(order, half_size)(t)
    x = coordinates(samples, known)
    matrix = np.zeros((samples + 2 * pad, len(x)))
    for row, centre in zip(matrix, coordinates(samples, pad), strict=True):
        place = (centre - t - x[0]) / spacing(samples)
        low = np.clip(np.floor(place).astype(int), 0, len(x) - 2)
        row += np.bincount(low, density * (1 - place + low), len(x)) + np.bincount(
            low + 1, density * (place - low), len(x)
        )
    return np.tensordot(matrix / density.sum(), values, axes=1)


@pytest.mark.parametrize("name", list(MODALITIES))
def test_ground_truth_is_the_integral(name, tmp_path):
    case = make_case(name, tmp_path)
    truth = GroundTruth.load(make_truth(case.path, tmp_path, case.options))
    signal = case.modality.load(case.path, **case.options)
    known = [
        p + int(np.ceil(max(truth.half_size) / spacing(n))) + 1 if p else 0
        for p, n in zip(truth.pads, truth.shape, strict=True)
    ]
    values = signal.padded(known, truth.boundary).astype(np.float64)
    for axis in signal.axes:
        shape = (truth.pads[axis], truth.shape[axis], known[axis], truth.order, truth.half_size[0])
        values = np.moveaxis(average(np.moveaxis(values, axis, 0), *shape), 0, axis)
    np.testing.assert_allclose(truth.values, values, atol=2e-4 * np.ptp(values))
