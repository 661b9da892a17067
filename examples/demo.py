"""Neural field convolutions by repeated differentiation: the whole method in one file (NumPy and torch).

    f * g = sum_i w_i F(x - t_i)        D^n F = f,   D^n g = sum_i w_i delta(t_i),   here n = 2 along both axes

1. Signal: a photograph f on [-1, 1]^2, rows first, bilinear between its pixels, the border's colours beyond it.
2. Minimal kernel: a tent, whose second derivative is three Diracs; the field sees f only through this kernel.
3. Field: F is a tensor product of cubic splines, solved such that its sum over those Diracs is f * tent.
4. Kernel: the second derivative of a piecewise linear Gaussian is 13 Diracs per axis.
5. Convolution: 13 Diracs per axis for any size, even if the size differs from pixel to pixel.

Usage: python examples/demo.py [photograph] [picture to write]
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
HALF_SIZE = 0.05  # half the width of the tent; lengths are in domain units
MARGIN = 0.4  # how far beyond [-1, 1] the field is solved, so that kernels may reach over the border
KNOT = HALF_SIZE / 4  # distance between the cubic B-splines of F
FIRST = -1 - MARGIN - HALF_SIZE - 1.5 * KNOT  # centre of the first of them
COUNT = int(np.ceil(-2 * FIRST / KNOT)) + 3  # how many there are per axis


def ramps(x, positions, weights, degree):
    """The piecewise polynomial sum_i w_i (x - t_i)_+^p / p!, whose (p + 1)-th derivative is Diracs w_i at t_i."""
    x = np.clip(x, positions[0], positions[-1])[..., None]
    return np.maximum(x - positions, 0) ** degree @ weights / np.prod(np.arange(1, degree + 1))


def tent(size):
    """Positions and weights [3] of the Diracs of a tent of half size `size` and mass 1."""
    return size * np.array([-1.0, 0.0, 1.0]), np.array([1.0, -2.0, 1.0]) / size**2


# 1. The signal, at points y and x [N] -> [N, 3]


def bilinear(image, y, x):
    v, u = (np.clip((p + 1) / 2, 0, 1) * (n - 1) for p, n in ((y, image.shape[0]), (x, image.shape[1])))
    i, j = np.minimum(v.astype(int), image.shape[0] - 2), np.minimum(u.astype(int), image.shape[1] - 2)
    v, u = (v - i)[:, None], (u - j)[:, None]
    upper, lower = (image[row, j] * (1 - u) + image[row, j + 1] * u for row in (i, i + 1))
    return upper * (1 - v) + lower * v


# 2. The signal seen through the minimal kernel


def tent_filter(count):
    """Points [N] along an axis, margin included, and the matrix [N, count] from its pixels to f * tent there."""
    step, pad = 2 / (count - 1), int((MARGIN + HALF_SIZE) * count / 2) + 3
    pixels = -1 + step * np.arange(-pad, count + pad)
    points = pixels[np.abs(pixels) <= 1 + MARGIN]
    # f is a sum of tents one pixel wide, and tent * tent is a cubic: positions of Diracs add up, weights multiply.
    (t, w), (s, v) = tent(HALF_SIZE), tent(step)
    order = np.argsort(np.add.outer(t, s).ravel())
    diracs = np.add.outer(t, s).ravel()[order], step * np.outer(w, v).ravel()[order]
    matrix = ramps(points[:, None] - pixels, *diracs, degree=3)
    # Pixels beyond the border repeat those on it.
    left, inner, right = np.split(matrix, [pad, pad + count], axis=1)
    inner[:, 0] += left.sum(axis=1)
    inner[:, -1] += right.sum(axis=1)
    return torch.from_numpy(points), torch.from_numpy(inner)


# 3. The repeated integral field


def stencil(x, positions, weights):
    """The matrix [N, COUNT] from coefficients of F to sum_i w_i F(x - t_i): x [N]; t and w [K], or [N, K]."""
    u = (x[:, None] - positions - FIRST) / KNOT
    first, s = u.floor().long(), u - u.floor()
    taps = torch.stack([(1 - s) ** 3, 4 - 6 * s**2 + 3 * s**3, 1 + 3 * (s + s**2 - s**3), s**3], dim=-1) / 6
    index = first[..., None] + torch.arange(-1, 3)
    matrix = torch.zeros(len(x), COUNT, dtype=x.dtype)
    return matrix.scatter_add_(1, index.flatten(1), (taps * weights[..., None]).flatten(1))


def solve(image):
    """Coefficients [COUNT, COUNT, 3] of F by least squares, along one axis after the other."""
    values = torch.from_numpy(image)
    for _ in range(2):
        points, through_tent = tent_filter(len(values))
        system = stencil(points, *map(torch.from_numpy, tent(HALF_SIZE)))
        # What cancels in the tent (constants of integration, waves of its period) is free: take the smoothest F.
        smooth = 0.01 * torch.from_numpy(np.diff(np.eye(COUNT), n=3, axis=0))
        inverse = torch.linalg.pinv(torch.cat([system, smooth]), rtol=1e-13)[:, : len(points)]
        values = torch.einsum("kp,pi,ijc->jkc", inverse, through_tent, values)  # the other axis comes next
    return values


# 4. Any other kernel: its Diracs


def gaussian(count=13, cut=3.0):
    """Positions and weights [count] of a Gaussian of sigma 1: the linear spline nearest to it in L2."""
    t, x = np.linspace(-cut, cut, count), np.linspace(-cut, cut, 2001)
    target, basis = np.exp(-(x**2) / 2), np.maximum(x[:, None] - t, 0)
    target /= target.sum() * (x[1] - x[0])
    # Moment conditions: sum w = 0 and sum w t = 0, so that constants of integration cancel; sum w t^2 / 2 is the mass.
    moments = np.stack([t**0, t, t**2 / 2])
    system = np.block([[basis.T @ basis, moments.T], [moments, np.zeros((3, 3))]])
    weights = np.linalg.solve(system, np.concatenate([basis.T @ target, [0, 0, 1]]))[:count]
    return torch.from_numpy(t), torch.from_numpy(weights)


# 5. The convolution


def convolve(field, y, x, sigma):
    """f * Gaussian at points, y, x and sigma [N] -> [N, 3]: the Diracs of a kernel of size s are s t and w / s^2."""
    (t, w), s = gaussian(), sigma[:, None]
    rows, columns = stencil(y, s * t, w / s**2), stencil(x, s * t, w / s**2)
    return torch.einsum("nic,ni->nc", torch.einsum("nj,ijc->nic", columns, field), rows)


def direct(image, y, x, sigma, count=120):
    """The same by definition: count^2 samples of f for every point, weighted by the true Gaussian, cut at 3 sigma."""
    v, u = (nodes.ravel() for nodes in np.meshgrid(*[6 * (np.arange(count) + 0.5) / count - 3] * 2))
    weights = np.exp(-(v**2 + u**2) / 2)
    return (
        np.stack([weights @ bilinear(image, y[n] - s * v, x[n] - s * u) for n, s in enumerate(sigma)]) / weights.sum()
    )


def main(source=ROOT / "data/raw/images/astronaut.png", target=ROOT / "output/demo.png"):
    start, image = time.perf_counter(), np.asarray(Image.open(source).convert("RGB")) / 255
    field = solve(image)
    print(f"{image.size:,} numbers -> {field.numel():,} coefficients in {time.perf_counter() - start:.1f} s")
    y, x = np.random.default_rng(0).uniform(-1, 1, (2, 100))
    for label, sigma in (("0.05", 0.05 + 0 * x), ("0.1", 0.1 + 0 * x), ("0.03..0.1", 0.065 + 0.035 * x)):
        result = convolve(field, *map(torch.from_numpy, (y, x, sigma))).numpy()
        error = np.mean((result - direct(image, y, x, sigma)) ** 2)
        print(f"sigma {label}: PSNR {-10 * np.log10(error):.1f} dB against direct convolution at {len(x)} points")
    y, x = (torch.linspace(-1, 1, count // 2, dtype=torch.float64) for count in image.shape[:2])
    foveated = [convolve(field, row.expand(len(x)), x, 0.015 + 0.06 * torch.hypot(row + 0.5, x + 0.1)) for row in y]
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.uint8(255 * torch.stack(foveated).clip(0, 1).numpy() + 0.5)).save(target)
    print(f"{target}: a Gaussian that grows away from the eyes")


if __name__ == "__main__":
    main(*sys.argv[1:])
