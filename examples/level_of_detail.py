"""Textures without aliasing: every pixel asks for the Gaussian that its footprint on the texture is.

    python examples/level_of_detail.py [picture.png] [width in pixels] [samples per pixel]

A plane of bricks to the horizon and a torus. A pixel is a Gaussian of 0.5 pixels; through the Jacobian J of texture
coordinates by pixels it becomes one of covariance J J' / 4 on the texture, which the field answers in one query.
Against supersampling of the same pixel filter with 1,024 samples, and against mip maps.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import norm, qmc

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import nfconv

PIXEL = 0.5  # standard deviation of a pixel, in pixels
TILES = 4  # of the texture, along each side of the signal
LARGEST = 0.2  # standard deviation on the signal beyond which a footprint shows the mean of 0.4 tiles, 4 % off


def texture(size: int) -> np.ndarray:
    """A tile of bricks [size, size, 3] in [0, 1]."""
    from skimage import data
    from skimage.transform import resize

    grey = resize(data.brick()[:400, :400] / 255.0, (size, size), anti_aliasing=True)
    low, high = np.percentile(grey, (1, 99))
    grey = np.clip((grey - low) / (high - low), 0, 1)[..., None]
    return (grey * np.array([0.95, 0.62, 0.45]) + (1 - grey) * np.array([0.16, 0.12, 0.14])).astype(np.float32)


def plane(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [N, 2] (x, y) of the ground and what they see of it: see `torus`."""
    horizon, focal, camera = 0.3 * height, 0.9 * width, 1.0
    y, x = np.mgrid[int(horizon) + 3 : height, 0:width]
    pixels = np.stack([x.ravel(), y.ravel()], axis=1) + 0.5
    # In tiles: u = X, v = Z, where 1 / Z = (y - horizon) / (focal camera) and X / Z = (x - width / 2) / focal.
    scale = 1.5
    seen = np.array([[scale / focal, 0, -scale * width / 2 / focal], [0, 0, scale],
                     [0, 1 / (focal * camera), -horizon / (focal * camera)]])  # fmt: skip
    return pixels, np.broadcast_to(seen, (len(pixels), 3, 3))


def torus(width: int, height: int, steps: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [N, 2] that see a torus of triangles, and for each the triangle's plane: matrices A [N, 3, 3] with
    (u / z, v / z, 1 / z) = A (x, y, 1), u and v in tiles."""
    a, b = np.meshgrid(np.linspace(0, 2 * np.pi, 2 * steps + 1), np.linspace(0, 2 * np.pi, steps + 1), indexing="ij")
    ring = 1.0 + 0.42 * np.cos(b)
    points = np.stack([ring * np.cos(a), ring * np.sin(a), 0.42 * np.sin(b)], axis=-1)
    c, s = np.cos(1.05), np.sin(1.05)
    points = points @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]]) + np.array([0.3, -0.62, 4.6])
    uv = np.stack([10 * a, 4 * b], axis=-1) / (2 * np.pi)
    screen = 0.9 * width * points[..., :2] / points[..., 2:] + np.array([width / 2, 0.45 * height])
    values = np.concatenate([uv, np.ones_like(a)[..., None]], axis=-1) / points[..., 2:]
    corners = [np.stack([g[:-1, :-1], g[1:, :-1], g[1:, 1:], g[:-1, 1:]], axis=2).reshape(-1, 4, g.shape[-1])
               for g in (screen, values)]  # fmt: skip
    depth, owner = np.zeros((height, width)), np.full((height, width), -1)
    planes = []
    for quad, value in zip(*corners, strict=True):
        for triangle in ([0, 1, 2], [0, 2, 3]):
            flat = np.concatenate([quad[triangle], np.ones((3, 1))], axis=1)
            if abs(np.linalg.det(flat)) < 1e-9:
                continue
            inside = np.linalg.inv(flat)
            low = np.maximum(np.floor(quad[triangle].min(axis=0)).astype(int), 0)
            high = np.minimum(np.ceil(quad[triangle].max(axis=0)).astype(int), (width, height))
            if (low >= high).any():
                continue
            y, x = np.mgrid[low[1] : high[1], low[0] : high[0]] + 0.5
            places = np.stack([x, y, np.ones_like(x)], axis=-1)
            matrix = (inside @ value[triangle]).T
            nearness = places @ matrix[2]
            window = slice(low[1], high[1]), slice(low[0], high[0])
            seen = (places @ inside >= 0).all(axis=-1) & (nearness > depth[window])
            depth[window][seen], owner[window][seen] = nearness[seen], len(planes)
            planes.append(matrix)
    y, x = np.nonzero(owner >= 0)
    return np.stack([x, y], axis=1) + 0.5, np.array(planes)[owner[y, x]]


def scene(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [N, 2] and their planes [N, 3, 3]: the torus before the ground."""
    near, far = torus(width, height), plane(width, height)
    taken = np.zeros((height, width), bool)
    taken[tuple(near[0].astype(int).T[::-1])] = True
    free = ~taken[tuple(far[0].astype(int).T[::-1])]
    return np.concatenate([near[0], far[0][free]]), np.concatenate([near[1], far[1][free]])


def coordinates(pixels: np.ndarray, planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Texture coordinates (u, v) in tiles [N, 2], and their Jacobian by (x, y) [N, 2, 2]."""
    found = np.einsum("nij,nj->ni", planes[..., :2], pixels) + planes[..., 2]
    uv = found[:, :2] / found[:, 2:]
    return uv, (planes[:, :2, :2] - uv[:, :, None] * planes[:, 2:, :2]) / found[:, 2, None, None]


def bilinear(tile: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """The periodic tile at (u, v) [N, 2] in tiles, its samples at whole multiples of 1 / size: rows are v."""
    size = len(tile)
    place = uv[:, ::-1] * size
    low = np.floor(place).astype(np.int64)
    part = (place - low).astype(np.float32)
    (r, c), (s, d) = (low % size).T, ((low + 1) % size).T
    p, q = part[:, :1], part[:, 1:]
    return (tile[r, c] * (1 - q) + tile[r, d] * q) * (1 - p) + (tile[s, c] * (1 - q) + tile[s, d] * q) * p


def supersampled(tile: np.ndarray, pixels: np.ndarray, planes: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """The mean of `count` samples of every pixel, spread as a Gaussian; a Sobol sequence, shifted per pixel."""
    offsets = qmc.Sobol(2, rng=np.random.default_rng(seed)).random(count)
    shifts = np.random.default_rng(seed + 1).random((len(pixels), 2))
    total = np.zeros((len(pixels), 3))
    for offset in offsets:
        spread = PIXEL * norm.ppf(np.clip((offset + shifts) % 1, 1e-6, 1 - 1e-6))
        total += bilinear(tile, coordinates(pixels + spread, planes)[0])
    return total / count


def mip_mapped(tile: np.ndarray, pixels: np.ndarray, planes: np.ndarray, taps: int = 1) -> np.ndarray:
    """Trilinear mip mapping, with up to `taps` along the longer axis of the footprint (anisotropic filtering)."""
    levels = [tile]
    while len(levels[-1]) > 1:
        levels.append(levels[-1].reshape(len(levels[-1]) // 2, 2, -1, 2, 3).mean(axis=(1, 3)))
    uv, jacobian = coordinates(pixels, planes)
    along, lengths, _ = np.linalg.svd(jacobian)
    counts = np.clip(np.ceil(lengths[:, 0] / np.maximum(lengths[:, 1], 1e-9)), 1, taps)
    level = np.clip(np.log2(np.maximum(lengths[:, 0] / counts * len(tile), 1e-9)), 0, len(levels) - 1)
    total = np.zeros((len(pixels), 3))
    for tap in range(int(counts.max())):
        rows = np.nonzero(tap < counts)[0]
        place = uv[rows] + ((tap + 0.5) / counts[rows] - 0.5)[:, None] * lengths[rows, :1] * along[rows, :, 0]
        for index, values in enumerate(levels):
            share = np.clip(1 - np.abs(level[rows] - index), 0, 1)
            some = share > 0
            # Samples of level k lie at the middle of 2^k of the first.
            shifted = place[some] - (2**index - 1) / 2 / len(tile)
            total[rows[some]] += (share[some] / counts[rows][some])[:, None] * bilinear(values, shifted)
    return total


def filtered(field: nfconv.Field, size: int, pixels: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """One query per pixel: the Gaussian of the footprint's covariance, on the signal of TILES x TILES tiles."""
    uv, jacobian = coordinates(pixels, planes)
    tile = 2 * size / (TILES * size - 1)
    at = -1 + tile * (TILES // 2 + uv[:, ::-1] % 1)
    root = PIXEL * tile * jacobian[:, ::-1]
    directions, sizes, _ = np.linalg.svd(root)
    # No thinner than a field trained with a tent of 2 samples knows.
    sizes = np.clip(sizes, 0.65 * tile / size, LARGEST)
    sigma = np.einsum("nij,nj,nkj->nik", directions, sizes**2, directions)
    return field.filter(nfconv.gaussian(), at=at, covariance=round_enough(sigma))


def round_enough(sigma: np.ndarray, most: float = 0.98) -> np.ndarray:
    """Covariances with correlations of at most `most`: longer ones are widened across."""
    root = np.sqrt(sigma[:, 0, 0] * sigma[:, 1, 1])
    missing = np.maximum(np.abs(sigma[:, 0, 1]) / most - root, 0)
    # (a + t)(b + t) >= (c / most)^2 holds for t = the missing share of the larger of both, and more is not needed.
    return sigma + (missing * (root + missing) / (0.5 * np.trace(sigma, axis1=1, axis2=2)))[:, None, None] * np.eye(2)


def timed(ask: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """What `ask` gives and the seconds of the processor it took."""
    start = time.process_time()
    values = ask()
    return values, time.process_time() - start


def decibels(values: np.ndarray, truth: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((values - truth) ** 2)))


def main(path: str = "level_of_detail.png", width: int = 360, samples: int = 1024) -> None:
    """Draw the scene in every way and write the pictures beside each other."""
    height, size = width * 9 // 16, 128
    tile = texture(size)
    field = nfconv.fit(np.tile(tile, (TILES, TILES, 1)), half_size="2px", margin=LARGEST * 4, boundary="periodic",
                       factor="spline", core_size=30_000)  # fmt: skip
    pixels, planes = scene(width, height)
    truth = supersampled(tile, pixels, planes, 4 * samples, seed=7)
    filtered(field, size, pixels[:64], planes[:64])
    ways = {"one query per pixel": timed(lambda: filtered(field, size, pixels, planes))}
    seconds = timed(lambda: supersampled(tile, pixels, planes, 8))[1] / 8
    equal = 2 ** max(0, round(np.log2(ways["one query per pixel"][1] / seconds)))
    ways |= {
        f"{equal} samples per pixel": timed(lambda: supersampled(tile, pixels, planes, equal)),
        f"{samples:,} samples per pixel": timed(lambda: supersampled(tile, pixels, planes, samples)),
        "mip maps, trilinear": timed(lambda: mip_mapped(tile, pixels, planes)),
        "mip maps, 16 taps": timed(lambda: mip_mapped(tile, pixels, planes, 16)),
    }
    captions = {}
    for name, (values, cost) in ways.items():
        captions[f"{name}\n{decibels(values, truth):.1f} dB, {cost:.3g} s"] = values
        print(f"{name}: PSNR {decibels(values, truth):.1f} dB in {cost:.3g} s of one processor")
    draw(Path(path), captions | {f"reference, {4 * samples:,} samples": truth}, pixels, (height, width))


def draw(path: Path, shown: dict[str, np.ndarray], pixels: np.ndarray, shape: tuple[int, int]) -> None:
    """The pictures [N, 3] of all ways beside each other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 2 * 12 / 3 * shape[0] / shape[1] + 0.9), layout="constrained")
    # As many samples as take equally long may be those that are shown anyway.
    for plot, (name, values) in zip(figure.subplots(2, 3).flat, shown.items(), strict=False):
        picture = np.full((*shape, 3), (0.62, 0.74, 0.88))
        picture[tuple(pixels.astype(int).T[::-1])] = np.clip(values, 0, 1)
        plot.imshow(picture, interpolation="nearest")
        plot.set_title(name, fontsize=9)
        plot.axis("off")
    figure.savefig(path, dpi=100, metadata={"Software": None})
    print(path)


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:4]))
