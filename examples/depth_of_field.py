"""An unknown map of blur, recovered from a blurred photograph by descent on the size of the kernel.

    python examples/depth_of_field.py [photograph] [picture.png] [pixels] [steps]

A field of the sharp photograph answers any Gaussian at any point and is differentiable in its size. Pixels of the
blurred photograph, which was made without the field, are compared with what sizes from a coarse map would give, and
Adam changes the map; a little smoothness fills in where the photograph has no details.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import nfconv

LEAST, MOST = 0.012, 0.08  # standard deviations of the blur, domain units
CELLS = 24  # of the recovered map along each side
POINTS = 2048  # pixels compared in a step
SMOOTHNESS = 2e-4
NOISE = 0.002  # of the blurred photograph


def blur_map(size: int) -> np.ndarray:
    """Standard deviations [size, size] in domain units: a ground that recedes upwards, a disk in focus before it."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    ground = LEAST + (MOST - LEAST) * np.abs(0.55 - y) / 1.55
    disk = 1 / (1 + np.exp((np.hypot(y + 0.35, x + 0.1) - 0.5) / 0.03))
    return ground * (1 - disk) + 1.2 * LEAST * disk


def blurred(photograph: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """The photograph [N, N, 3] blurred by a Gaussian of its own at every pixel: a stack of blurs, read between."""
    size = len(photograph)
    sizes = np.geomspace(sigma.min(), sigma.max(), 48)
    stack = np.stack([gaussian_filter(photograph, (s * (size - 1) / 2,) * 2 + (0,), mode="nearest") for s in sizes])
    place = np.clip(np.log(sigma / sizes[0]) / np.log(sizes[1] / sizes[0]), 0, len(sizes) - 1)
    low = np.minimum(place.astype(int), len(sizes) - 2)
    rows, columns = np.indices(sigma.shape)
    part = (place - low)[..., None]
    return stack[low, rows, columns] * (1 - part) + stack[low + 1, rows, columns] * part


def read_map(coarse: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """A map [M, M] over [-1, 1]^2 at points [N, 2] (rows, columns), between its samples by cubics: [N]."""
    places = points.flip(1)[None, None].to(coarse)
    return F.grid_sample(
        coarse[None, None], places, mode="bicubic", padding_mode="border", align_corners=True
    ).flatten()


def recover(field: nfconv.Field, picture: np.ndarray, steps: int) -> np.ndarray:
    """The standard deviations [N, N] (domain units) that make the field look like the blurred picture [N, N, 3]."""
    size = len(picture)
    line = torch.linspace(-1, 1, size, dtype=torch.float64)
    points, colours = torch.cartesian_prod(line, line), torch.tensor(picture).reshape(-1, picture.shape[-1])
    coarse = torch.full((CELLS, CELLS), float(np.log(np.sqrt(LEAST * MOST))), dtype=torch.float64, requires_grad=True)
    adam, generator = torch.optim.Adam([coarse], lr=0.08), torch.Generator().manual_seed(0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for step in range(steps):
        rows = torch.randint(len(points), (min(POINTS, len(points) // 4),), generator=generator)
        sigma = read_map(coarse, points[rows]).clamp(np.log(LEAST / 1.5), np.log(MOST * 1.2)).exp()
        found = field.filter(nfconv.gaussian(sigma=1.0), at=points[rows], scale=sigma)
        rough = coarse.diff(dim=0).square().mean() + coarse.diff(dim=1).square().mean()
        loss = (found - colours[rows]).square().mean()
        adam.zero_grad()
        (loss + SMOOTHNESS * rough).backward()
        adam.step()
        schedule.step()
        if step % max(1, steps // 5) == 0 or step == steps - 1:
            print(f"step {step}: {10 * np.log10(1 / float(loss.detach())):.1f} dB")
    return read_map(coarse.detach(), points).exp().reshape(size, size).numpy()


def main(photograph: str, path: str = "depth_of_field.png", size: int = 192, steps: int = 200) -> None:
    """Blur the photograph by a map, recover the map, and draw both."""
    from skimage.transform import resize

    sharp = resize(nfconv.read(photograph).core[..., :3], (size, size), anti_aliasing=True)
    wanted = blur_map(size)
    picture = blurred(sharp, wanted) + NOISE * np.random.default_rng(0).standard_normal(sharp.shape)
    field = nfconv.fit(sharp.astype(np.float32), half_size=2.5 * LEAST / 1.5, margin=3.6 * MOST, factor="spline")
    start = time.perf_counter()
    found = recover(field, picture, steps)
    error = np.abs(np.log(found / wanted))
    detail = gaussian_filter(np.abs(np.gradient(sharp.mean(axis=-1))).sum(axis=0), 2)
    shown = detail > np.median(detail)
    print(f"{steps} steps in {time.perf_counter() - start:.1f} s; the size of the blur is off by "
          f"{np.median(error[shown]):.1%} where the photograph has details, by {np.median(error):.1%} everywhere "
          "(medians)")  # fmt: skip
    draw(Path(path), sharp, picture, wanted, found)


def draw(path: Path, sharp: np.ndarray, picture: np.ndarray, wanted: np.ndarray, found: np.ndarray) -> None:
    """The photographs and the maps beside each other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.3), layout="constrained")
    plots = figure.subplots(1, 4)
    for plot, values, name in zip(plots, (sharp, picture), ("sharp photograph", "blurred photograph"), strict=False):
        plot.imshow(np.clip(values, 0, 1))
        plot.set_title(name, fontsize=9)
    for plot, values, name in zip(plots[2:], (wanted, found), ("its blur (unknown)", "recovered blur"), strict=True):
        shown = plot.imshow(values, vmin=LEAST, vmax=MOST)
        plot.set_title(f"{name}, standard deviation", fontsize=9)
    figure.colorbar(shown, ax=list(plots), shrink=0.9)
    for plot in plots:
        plot.axis("off")
    figure.savefig(path, dpi=90, metadata={"Software": None})
    print(path)


if __name__ == "__main__":
    words = sys.argv[1:] or [str(Path(__file__).resolve().parent.parent / "data/raw/images/astronaut.png")]
    main(*words[:2], *map(int, words[2:4]))
