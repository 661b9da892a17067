"""Convolution kernels as sparse sets of Diracs (knows no signals and no fields)."""

from kernels.minimal import knot_spacing, minimal_kernel
from kernels.sparse import SparseKernel, combine, outer

__all__ = ["SparseKernel", "combine", "knot_spacing", "minimal_kernel", "outer"]
