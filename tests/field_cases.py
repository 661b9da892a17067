"""Fields of every kind, kernels for them, and the slow and obvious sum over Diracs."""

from functools import reduce

import numpy as np
import torch
from builders import field_config, lopsided

from kernels import SparseKernel, minimal_kernel, outer
from models.field import FieldConfig

CONFIGS = {
    "siren": field_config("siren", 2, 3),
    "mlp": field_config("mlp", 2, 1, norm_exp=0.0),
    "mlp in 3-D": field_config("mlp", 3, 1, order=0),
    "siren in 1-D": field_config("siren", 1, 7, order=2),
    "mlp along time": field_config("mlp", 3, 3, axes=(0,)),
    "split": field_config("mlp", 2, 3, num_layers=2, split=1),
    "split siren in 3-D": field_config("siren", 3, 1, axes=(0, 2), order=0, num_layers=3, split=2),
    "swish": field_config("separable", 2, 3),
    "swish in 1-D": field_config("separable", 1, 7, order=2),
    "uneven ranks": field_config("separable", 2, 7, ranks=(5, 3)),
    "sine": field_config("separable", 3, 1, ranks=(2, 5, 3), factor="sine"),
    "tables": field_config("separable", 3, 3, axes=(0,), ranks=(4, 3, 2), tables=(0, 9, 7)),
    "splines": field_config("separable", 2, 3, factor="spline", knots=(9, 12), reach=(0.7, 0.5)),
    "splines and a table": field_config(
        "separable",
        3,
        2,
        axes=(0, 2),
        order=0,
        ranks=(4, 3, 2),
        tables=(0, 7, 0),
        factor="spline",
        knots=(8, 0, 11),
        reach=(0.6, 0.0, 0.5),
    ),
    "middle axis": field_config("separable", 3, 1, axes=(1,), order=0),
}


def brute_force(field, kernel: SparseKernel, points: torch.Tensor, stretch: np.ndarray | None = None) -> torch.Tensor:
    """sum_k w_k F(x - s t_k) / s^n, one Dirac at a time; stretch s [N, d]."""
    s = torch.ones_like(points) if stretch is None else torch.tensor(np.asarray(stretch))
    size = s[:, list(kernel.axes)].pow(kernel.n).prod(dim=1, keepdim=True)
    return sum(
        w / size * field(points - s * torch.tensor(t)) for t, w in zip(kernel.positions, kernel.weights, strict=True)
    )


def close(actual, wanted, relative: float = 1e-9) -> None:
    """Equal up to rounding of the largest value: differences cancel, so small values know no better."""
    wanted = np.asarray(wanted)
    np.testing.assert_allclose(np.asarray(actual), wanted, rtol=0, atol=relative * max(1.0, np.abs(wanted).max()))


def uneven_kernel(config: FieldConfig) -> SparseKernel:
    """An asymmetric outer product of the field's order on uneven knots, 6 Diracs an axis (order 1), else minimal."""
    if config.order != 1:
        return minimal_kernel(config.order, 0.21, config.dim, config.axes)
    factors = [lopsided(6, 0.25, seed)[0] for seed in range(len(config.axes))]
    return reduce(outer, factors).embedded(config.axes, config.dim)
