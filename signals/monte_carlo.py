"""Monte Carlo convolution with the minimal kernel: one body for NumPy and CuPy, `xp` is either.

The B-spline of order p is the density of the sum of n = p + 1 uniforms on [-h/2, h/2] (Heckbert 1986), so offsets
are drawn from it directly and samples f(x - t) are averaged without weights.
"""

import math
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from kernels.minimal import knot_spacing
from signals.signal import Signal, boundary_rules, coordinates, spacing

# Points per chunk: bounds memory, and fixes the random streams whatever the machine.
CHUNK = 1 << 17
SAMPLERS = ("lattice", "independent")
BACKENDS = ("numpy", "cupy")

Sample = Callable[[Any], Any]


def array_module(backend: str) -> ModuleType:
    """NumPy, or CuPy where it works; raises ValueError with what to do where it does not."""
    if backend == "numpy":
        return np
    try:
        import cupy
    except ImportError:
        raise ValueError(
            "--backend cupy requires CuPy: install cupy-cuda13x[ctk] (docs/gpu.md), or use --backend numpy"
        ) from None
    try:
        if not cupy.cuda.is_available():
            raise RuntimeError("no CUDA device")
        cupy.zeros(1) + 1
    except Exception as error:  # CuPy's driver and runtime errors share no base class.
        raise ValueError(f"--backend cupy requires a working CUDA device ({error}); use --backend numpy") from None
    return cupy


def bspline_offsets(uniforms: Any, h: Any) -> Any:
    """Offsets t [N, a] distributed as the minimal kernel, Diracs `h` [a] apart, from uniforms [N, a, n] in [0, 1)."""
    return (uniforms - 0.5).sum(axis=-1) * h


def additive_steps(dimensions: int) -> np.ndarray:
    """Steps [D] of the additive lattice whose points fill the unit cube evenly (Roberts 2018, R_d sequence)."""
    root = 1.0
    for _ in range(64):
        root = (1.0 + root) ** (1.0 / (dimensions + 1))
    return root ** -np.arange(1.0, dimensions + 1)


def monte_carlo(
    sample: Sample,
    points: Any,
    axes: Sequence[int],
    order: int,
    half_size: Sequence[float],
    samples: int,
    generator: Any,
    sampler: str,
    xp: ModuleType,
) -> Any:
    """Average of `sample` at points - t over `samples` draws t of the minimal kernel: [N, d] -> [N, c].

    Every point has its own stream: independent uniforms, or one lattice rotated at random for each point,
    which is as unbiased and much less noisy (Cranley & Patterson 1976).
    """
    n = order + 1
    size = (len(points), len(axes), n)
    # Uploaded once, and not as a list with every sample.
    columns = xp.asarray(list(axes))
    h = xp.asarray([knot_spacing(order, s) for s in half_size])
    start = generator.random(size)
    steps = xp.asarray(additive_steps(len(axes) * n).reshape(1, len(axes), n))
    total = 0.0
    for index in range(samples):
        uniforms = (start + index * steps) % 1.0 if sampler == "lattice" else generator.random(size)
        shifted = points.copy()
        shifted[:, columns] -= bspline_offsets(uniforms, h)
        total = total + sample(shifted)
    return total / samples


def grid_sampler(signal: Signal, boundary: str, reach: Sequence[float], xp: ModuleType) -> Sample:
    """The signal as a function of points [N, d] -> [N, c]: multilinear between samples, up to `reach` [d] domain units
    beyond [-1, 1]. Axes that are not filtered are only ever asked at their samples.
    """
    filtered = [axis in signal.axes for axis in range(signal.dim)]
    sizes = zip(reach, signal.shape, filtered, strict=True)
    pads = [math.ceil(r / spacing(n) - 1e-9) + 1 if able else 0 for r, n, able in sizes]
    values = xp.asarray(signal.padded(pads, boundary))
    shape = values.shape[:-1]
    flat = values.reshape(-1, values.shape[-1])
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]

    def sample(points: Any) -> Any:
        base: Any = 0
        corners: list[tuple[int, Any]] = [(0, 1.0)]
        for axis, stride in enumerate(strides):
            place = (points[:, axis] + 1.0) / spacing(signal.shape[axis]) + pads[axis]
            if filtered[axis]:
                low = xp.clip(xp.floor(place).astype(xp.int64), 0, max(shape[axis] - 2, 0))
                part = place - low
                step = stride if shape[axis] > 1 else 0
                corners = [(o + b * step, w * (part if b else 1.0 - part)) for o, w in corners for b in (0, 1)]
            else:
                low = xp.rint(place).astype(xp.int64)
            base = base + low * stride
        return sum(flat[base + offset] * weight[:, None] for offset, weight in corners)

    return sample


def within(points: np.ndarray, rules: Sequence[str]) -> np.ndarray:
    """Points [N, d] mapped into [-1, 1] by the boundary rule of each axis ('extend' leaves them where they are)."""
    moved = points.copy()
    for axis, rule in enumerate(rules):
        x = moved[:, axis]
        if rule == "clamp":
            moved[:, axis] = np.clip(x, -1, 1)
        elif rule == "periodic":
            moved[:, axis] = (x + 1) % 2 - 1
        elif rule == "reflect":
            moved[:, axis] = 1 - np.abs((x + 1) % 4 - 2)
    return moved


def monte_carlo_convolution(
    signal: Signal,
    order: int,
    half_size: Sequence[float],
    boundary: str,
    pads: Sequence[int],
    samples: int,
    seed: int,
    sampler: str = "lattice",
    xp: ModuleType = np,
    dtype: Any = np.float32,
) -> np.ndarray:
    """Monte Carlo estimate of signal * minimal kernel on the padded grid, [N_1 + 2 pads_1, ..., c], chunk by chunk.

    Shows its progress on standard error. Raises ValueError for fewer than one sample and an unknown sampler.
    """
    if samples < 1:
        raise ValueError(f"--sample_number must be at least 1, not {samples}")
    if sampler not in SAMPLERS:
        raise ValueError(f"--sampler must be one of {', '.join(SAMPLERS)}, not {sampler!r}")
    axes = [coordinates(n, pad) for n, pad in zip(signal.shape, pads, strict=True)]
    shape = tuple(len(x) for x in axes)
    reach = [pad * spacing(n) for pad, n in zip(pads, signal.shape, strict=True)]
    for axis, size in zip(signal.axes, half_size, strict=True):
        reach[axis] += size
    if signal.function is not None and xp is not np:
        raise ValueError("a callable is asked on the CPU, or asks a GPU itself: use --backend numpy")
    # A callable itself is asked anywhere, moved into its box as the boundary rules say.
    rules = boundary_rules(boundary, signal.axes, signal.dim)
    given = signal.function
    sample = (lambda points: given(within(points, rules))) if given else grid_sampler(signal, boundary, reach, xp)
    result = np.empty((math.prod(shape), signal.channels), dtype=dtype)
    # Uploaded once: a device makes the points of a chunk itself.
    lines, strides = [xp.asarray(x) for x in axes], [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    starts = range(0, len(result), CHUNK)
    for start in track(starts, f"Monte Carlo, {samples} samples", console=Console(stderr=True), transient=True):
        rows = xp.arange(start, min(start + CHUNK, len(result)))
        points = xp.stack([x[rows // step % len(x)] for x, step in zip(lines, strides, strict=True)], axis=-1)
        generator = xp.random.default_rng((seed << 32) + start // CHUNK)
        mean = monte_carlo(sample, points, signal.axes, order, half_size, samples, generator, sampler, xp)
        result[start : start + CHUNK] = mean if xp is np else mean.get()
    return result.reshape(*shape, signal.channels)
