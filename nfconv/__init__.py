"""Filter continuous signals: fit a repeated integral field once, then convolve it with any kernel of any size.

    field = nfconv.fit(image, half_size=0.05)
    blurred = field.filter(nfconv.gaussian(sigma=0.05))

Lengths are in domain units: a signal spans [-1, 1] along every axis.
"""

from kernels import SparseKernel, minimal_kernel
from kernels.library import (
    Kernel,
    anisotropic,
    box,
    bspline,
    cubic,
    derivative,
    disk,
    dog,
    gabor,
    gaussian,
    hexagon,
    image,
    lanczos,
    log,
    motion,
    quadratic,
    ring,
    second_derivative,
    tent,
)
from models import Field
from nfconv.api import fit, load, load_ground_truth, load_kernel, read
from signals import GroundTruth, Signal, make_ground_truth

__all__ = [
    "Field",
    "GroundTruth",
    "Kernel",
    "Signal",
    "SparseKernel",
    "anisotropic",
    "box",
    "bspline",
    "cubic",
    "derivative",
    "disk",
    "dog",
    "fit",
    "gabor",
    "gaussian",
    "hexagon",
    "image",
    "lanczos",
    "load",
    "load_ground_truth",
    "load_kernel",
    "log",
    "make_ground_truth",
    "minimal_kernel",
    "motion",
    "quadratic",
    "read",
    "ring",
    "second_derivative",
    "tent",
]
