"""Monte Carlo ground truth: its estimator, its samplers and its one body for NumPy and CuPy."""

from types import SimpleNamespace

import numpy as np
import pytest
from builders import exact_truth, noise_signal
from numpy.lib.mixins import NDArrayOperatorsMixin
from scipy import stats

from kernels.minimal import bspline, minimal_kernel
from kernels.sparse import ramp
from signals import monte_carlo
from signals.monte_carlo import SAMPLERS, additive_steps, array_module, bspline_offsets, monte_carlo_convolution, within


def estimate(signal, order=1, half_size=0.3, boundary="clamp", pads=None, samples=8, seed=0, **other):
    pads, sizes = pads or (0,) * signal.dim, (half_size,) * len(signal.axes)
    return monte_carlo_convolution(signal, order, sizes, boundary, pads, samples, seed, dtype=np.float64, **other)


@pytest.mark.parametrize("order", range(4))
def test_offsets_are_distributed_as_the_minimal_kernel(order):
    half_size = 0.4
    uniforms = np.random.default_rng(5).random((20_000, 1, order + 1))
    offsets = bspline_offsets(uniforms, np.array([2 * half_size / (order + 1)]))[:, 0]
    density = bspline(order, half_size)
    diracs = minimal_kernel(order, half_size)
    cdf = lambda t: ramp(t[..., None] - diracs.positions[:, 0], order + 1) @ diracs.weights  # noqa: E731
    assert stats.kstest(offsets, cdf).pvalue > 0.01
    nodes, weights = np.polynomial.legendre.leggauss(200)
    for power in (1, 2, 4):
        moment = half_size * weights @ (density(half_size * nodes) * (half_size * nodes) ** power)
        error = np.std(offsets**power) / np.sqrt(len(offsets))
        assert abs(np.mean(offsets**power) - moment) < 4 * error + 1e-6


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(
    "signal, order, boundary",
    [
        (noise_signal((5, 4), 2), 0, "clamp"),
        (noise_signal((4, 6), 1), 1, "reflect"),
        (noise_signal((5, 3), 2), 2, "clamp"),
        (noise_signal((7, 2, 3), 1, axes=(0,)), 1, "reflect"),
        (noise_signal((3, 2, 4), 1), 1, "clamp"),
        (noise_signal((2, 9), 1, axes=(1,), halo=(0, 3)), 3, "clamp"),
    ],
)
def test_mean_over_seeds_is_the_exact_convolution(signal, order, boundary, sampler):
    pads = tuple(1 if axis in signal.axes else 0 for axis in range(signal.dim))
    runs = [estimate(signal, order, 0.3, boundary, pads, 4, seed, sampler=sampler) for seed in range(64)]
    margin = max(pads[axis] * 2 / (signal.shape[axis] - 1) for axis in signal.axes)
    exact = exact_truth(signal, order, 0.3, 2 * margin, boundary)
    extra = [a - b for a, b in zip(exact.pads, pads, strict=True)]
    wanted = exact.values[tuple(slice(e, n - e) for e, n in zip(extra, exact.values.shape, strict=False))]
    deviation = np.mean(runs, axis=0) - wanted
    error = np.std(runs, axis=0, ddof=1) / np.sqrt(len(runs))
    assert np.all(np.abs(deviation) <= 4 * error + 1e-12)
    assert error.max() > 1e-4


@pytest.mark.parametrize("sampler, slope", [("independent", -0.43), ("lattice", -0.55)])
def test_error_falls_as_the_root_of_the_samples_or_faster(sampler, slope):
    signal = noise_signal((9, 9), 1)
    wanted = exact_truth(signal, 1, 0.3, 0.0).values
    counts = np.array([4, 16, 64, 256])
    errors = [
        np.sqrt(np.mean([(estimate(signal, samples=n, seed=s, sampler=sampler) - wanted) ** 2 for s in range(6)]))
        for n in counts
    ]
    measured = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert measured < slope


def test_a_seed_fixes_every_number_and_another_seed_changes_them():
    signal = noise_signal((5, 6), 2)
    np.testing.assert_array_equal(estimate(signal, seed=3), estimate(signal, seed=3))
    assert np.abs(estimate(signal, seed=3) - estimate(signal, seed=4)).max() > 1e-3


def test_every_chunk_has_a_stream_of_its_own(monkeypatch):
    monkeypatch.setattr(monte_carlo, "CHUNK", 10)
    flat = np.broadcast_to(np.random.default_rng(0).random((1, 20, 1)), (3, 20, 1))
    signal = type(noise_signal((2,)))(np.ascontiguousarray(flat), (1,), "image")
    values = estimate(signal, samples=2)[..., 0].reshape(-1, 10)
    assert len(np.unique(values.round(12), axis=0)) == len(values)


def test_a_signal_is_only_seen_through_its_samples_in_axes_that_are_not_filtered():
    signal = noise_signal((9, 3), 1, axes=(0,))
    alone = type(signal)(signal.values[:, 1:2], (0,), "image")
    together, single = (estimate(s, samples=400)[:, -1 if s is alone else 1] for s in (signal, alone))
    np.testing.assert_allclose(together, single, atol=0.02)


@pytest.mark.parametrize("dimensions", [1, 2, 6])
def test_lattice_steps_fill_the_cube(dimensions):
    steps = additive_steps(dimensions)
    points = np.arange(1, 513)[:, None] * steps % 1
    assert stats.qmc.discrepancy(points) < stats.qmc.discrepancy(np.random.default_rng(0).random((512, dimensions)))


class DeviceArray(NDArrayOperatorsMixin):
    """An array that, as CuPy's, mixes with no NumPy array and becomes one only by `get`."""

    def __init__(self, held: np.ndarray) -> None:
        self.held = held

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise TypeError("implicit conversion to a NumPy array is not allowed")

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        if any(isinstance(value, np.ndarray) for value in inputs):
            raise TypeError("a NumPy array meets a device array")
        if out is not None:
            options["out"] = tuple(value.held for value in out)
        result = getattr(ufunc, method)(*[getattr(value, "held", value) for value in inputs], **options)
        return out[0] if out is not None else DeviceArray(result)

    def __getitem__(self, key):
        return DeviceArray(self.held[_held(key)])

    def __setitem__(self, key, value):
        self.held[_held(key)] = _held(value)

    def __len__(self) -> int:
        return len(self.held)

    shape = property(lambda self: self.held.shape)

    def get(self) -> np.ndarray:
        return self.held

    def copy(self):
        return DeviceArray(self.held.copy())

    def sum(self, axis):
        return DeviceArray(self.held.sum(axis))

    def astype(self, dtype):
        return DeviceArray(self.held.astype(dtype))

    def reshape(self, *shape):
        return DeviceArray(self.held.reshape(*shape))


def _held(value):
    if isinstance(value, np.ndarray | list):
        raise TypeError("a NumPy array, or a list that becomes one, meets a device array")
    if isinstance(value, tuple):
        return tuple(map(_held, value))
    return value.held if isinstance(value, DeviceArray) else value


class DeviceGenerator:
    """Draws what NumPy's generator of the same seed draws."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)

    def random(self, size):
        return DeviceArray(self.generator.random(size))


DEVICE = SimpleNamespace(
    asarray=lambda values: DeviceArray(np.asarray(values)),
    arange=lambda *ends: DeviceArray(np.arange(*ends)),
    stack=lambda arrays, axis: DeviceArray(np.stack([array.held for array in arrays], axis)),
    floor=lambda x: DeviceArray(np.floor(x.held)),
    rint=lambda x: DeviceArray(np.rint(x.held)),
    clip=lambda x, low, high: DeviceArray(np.clip(x.held, low, high)),
    int64=np.int64,
    random=SimpleNamespace(default_rng=DeviceGenerator),
)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("axes", [(0, 1), (1,)])
def test_the_body_uses_nothing_but_the_array_module_it_is_given(sampler, axes):
    signal = noise_signal((4, 5), 3, axes)
    np.testing.assert_array_equal(
        estimate(signal, sampler=sampler, xp=DEVICE), estimate(signal, sampler=sampler, xp=np)
    )


def test_cupy_where_there_is_none_is_a_clear_error():
    try:
        import cupy

        if cupy.cuda.is_available():
            pytest.skip("this machine has CuPy and a CUDA device")
    except ImportError:
        pass
    with pytest.raises(ValueError, match="--backend cupy"):
        array_module("cupy")


def test_points_beyond_the_box_are_moved_by_the_rule_of_their_axis():
    points = np.random.default_rng(0).uniform(-6, 6, (300, 4))
    moved = within(points, ("clamp", "periodic", "reflect", "extend"))
    assert (np.abs(moved[:, :3]) <= 1).all()
    np.testing.assert_array_equal(moved[:, 0], np.minimum(np.maximum(points[:, 0], -1), 1))
    np.testing.assert_allclose(np.exp(1j * np.pi * moved[:, 1]), np.exp(1j * np.pi * points[:, 1]))
    # A wave that is even about both ends of [-1, 1] sees no reflection; it tells points of the interval apart.
    np.testing.assert_allclose(np.cos(np.pi / 2 * (moved[:, 2] + 1)), np.cos(np.pi / 2 * (points[:, 2] + 1)))
    np.testing.assert_array_equal(moved[:, 3], points[:, 3])
