"""Kernels as Diracs, at once while a slider is dragged: fits are kept for every shape, and a coarse one stands in."""

from collections import OrderedDict
from dataclasses import replace

import numpy as np

from kernels.fit import best_weights
from kernels.library import Kernel
from kernels.sparse import SparseKernel
from models import Field
from models.filtering import sparse_kernel

# Fits that are kept, and Diracs per axis of one that stands in, evenly apart: its weights take some 60 ms.
MOST_FITS = 256
COARSE = 17


class Fits:
    """The sparse kernels of one field."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self._fits: OrderedDict[Kernel, SparseKernel] = OrderedDict()

    def exact(self, kernel: Kernel) -> SparseKernel:
        """The kernel as `eval.py` uses it."""
        if kernel.stretch is not None or not kernel.type.names("path"):
            found = sparse_kernel(self.field, kernel)
            self._keep(self._shape(kernel), found)
            return found
        # The library keeps no fits of pictures, which may change; what was dropped on the page does not.
        size = dict(kernel.parameters).get("radius")
        if size is None:
            return sparse_kernel(self.field, kernel)
        shape = self._shape(kernel)
        if shape not in self._fits:
            self._keep(shape, sparse_kernel(self.field, shape))
        return self._fits[shape].scaled(size)

    def coarse(self, kernel: Kernel) -> SparseKernel:
        """The kernel, or where its shape has not been fitted yet the best weights of even Diracs."""
        dim, axes = self.field.config.dim, self.field.config.axes
        target = kernel.target(dim, axes)
        if len(axes) != 2 or self._shape(kernel) in self._fits or target.factors() is not None:
            return self.exact(kernel)
        unit = best_weights(target.unit(), [np.linspace(-1, 1, COARSE)] * 2, self.field.config.order)
        return unit.scaled(target.radius).embedded(axes, dim)

    def _shape(self, kernel: Kernel) -> Kernel:
        """The kernel at size 1, which all sizes share."""
        kernel.target(self.field.config.dim, self.field.config.axes)  # raises ValueError for missing parameters
        values = dict(kernel.parameters)
        scaled = kernel.type.scaled(values, 1.0 / values[kernel.type.names("length")[0]])
        return replace(kernel, parameters=scaled, stretch=None)

    def _keep(self, shape: Kernel, found: SparseKernel) -> None:
        self._fits[shape] = found
        self._fits.move_to_end(shape)
        while len(self._fits) > MOST_FITS:
            self._fits.popitem(last=False)
