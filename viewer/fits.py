"""Kernels as Diracs, at once while a slider is dragged: fits are kept for every shape, and a coarse one stands in."""

from collections import OrderedDict
from dataclasses import replace

import numpy as np

from kernels.fit import best_weights
from kernels.library import Kernel
from kernels.sparse import SparseKernel
from models import Field
from models.filtering import sparse_kernel

# Fits that are kept, and Diracs per axis of one that stands in, evenly apart: its weights take some 60 ms, once.
MOST_FITS = 256
COARSE = 25


class Fits:
    """The sparse kernels of one field."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self._fits: OrderedDict[Kernel, SparseKernel] = OrderedDict()
        self._coarse: OrderedDict[Kernel, SparseKernel] = OrderedDict()

    def exact(self, kernel: Kernel) -> SparseKernel:
        """The kernel as `eval.py` uses it."""
        shape = self._shape(kernel)
        if kernel.stretch is None and kernel.type.names("path"):
            # The library keeps no fits of pictures, which may change; what was dropped on the page does not.
            if shape not in self._fits:
                _keep(self._fits, shape, sparse_kernel(self.field, shape))
            return self._fits[shape].scaled(dict(kernel.parameters)["radius"])
        found = sparse_kernel(self.field, kernel)
        _keep(self._fits, shape, found)
        return found

    def coarse(self, kernel: Kernel) -> SparseKernel:
        """The kernel, or where its shape has not been fitted yet, or to many Diracs, the best weights of few even
        ones."""
        dim, axes = self.field.config.dim, self.field.config.axes
        target, shape = kernel.target(dim, axes), self._shape(kernel)
        known = self._fits.get(shape)
        if len(axes) != 2 or (known is not None and len(known) <= COARSE**2):
            return self.exact(kernel)
        if shape not in self._coarse:
            knots = [np.linspace(-1, 1, COARSE)] * 2
            _keep(self._coarse, shape, best_weights(target.unit(), knots, self.field.config.order))
        return self._coarse[shape].scaled(target.radius).embedded(axes, dim)

    def _shape(self, kernel: Kernel) -> Kernel:
        """The kernel at size 1, which all sizes share."""
        kernel.target(self.field.config.dim, self.field.config.axes)  # raises ValueError for missing parameters
        values = dict(kernel.parameters)
        scaled = kernel.type.scaled(values, 1.0 / values[kernel.type.names("length")[0]])
        return replace(kernel, parameters=scaled, stretch=None)


def _keep(kept: OrderedDict[Kernel, SparseKernel], shape: Kernel, found: SparseKernel) -> None:
    """Keep a fit, and so many of them."""
    kept[shape] = found
    kept.move_to_end(shape)
    while len(kept) > MOST_FITS:
        kept.popitem(last=False)
