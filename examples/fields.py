"""Continuous signals to filter: networks, procedures, distances. Points are [N, d], answers [N, c].

    python mc_utils.py --path examples/fields.py:spheres --save_path output/spheres.npz --half_size 0.1
    python eval.py --signal examples/fields.py:siren --kernel gaussian --sigma 0.05 --save_path output/siren

Functions with arguments of points are fields; those without, or with defaults alone, make one when they are called.
"""

import itertools
import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

PICTURE = Path(__file__).resolve().parent.parent / "data" / "raw" / "images" / "astronaut.png"


class Siren(nn.Module):
    """Sine layers (Sitzmann et al. 2020): points (y, x) in [-1, 1]^2 -> colours."""

    def __init__(self, width: int = 128, layers: int = 3, omega: float = 30.0) -> None:
        super().__init__()
        self.omega = omega
        sizes = [2] + [width] * layers
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.head = nn.Linear(width, 3)
        with torch.no_grad():
            for number, layer in enumerate([*self.layers, self.head]):
                bound = math.sqrt(6 / width) / omega if number else 1 / 2
                layer.weight.uniform_(-bound, bound)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            points = torch.sin(self.omega * layer(points))
        return self.head(points)


class HashGrid(nn.Module):
    """Bilinear features in hashed tables of several resolutions and a small network (Müller et al. 2022)."""

    def __init__(self, levels: int = 8, entries: int = 1 << 12, features: int = 2) -> None:
        super().__init__()
        self.resolutions = [int(8 * 1.5**level) for level in range(levels)]
        self.tables = nn.Parameter(0.1 * torch.randn(levels, entries, features))
        self.network = nn.Sequential(nn.Linear(levels * features, 32), nn.ReLU(), nn.Linear(32, 3))

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        unit, seen = (points.clamp(-1, 1) + 1) / 2, []
        for table, resolution in zip(self.tables, self.resolutions, strict=True):
            place = unit * resolution
            low = place.floor().long().clamp(0, resolution - 1)
            part, total = place - low, torch.zeros(())
            for a, b in ((0, 0), (0, 1), (1, 0), (1, 1)):
                weight = (part[:, 0] if a else 1 - part[:, 0]) * (part[:, 1] if b else 1 - part[:, 1])
                row = ((low[:, 0] + a) * 2654435761 ^ (low[:, 1] + b)) % table.shape[0]
                total = total + weight[:, None] * table[row]
            seen.append(total)
        return self.network(torch.cat(seen, dim=-1))


def trained(network: nn.Module, steps: int, rate: float, size: int = 128) -> nn.Module:
    """`network` after some seconds of Adam on the pixels of a photograph."""
    import cv2
    import imageio.v3 as iio

    pixels = cv2.resize(iio.imread(PICTURE), (size, size), interpolation=cv2.INTER_AREA)
    colours = torch.as_tensor(pixels.astype(np.float32) / 255).reshape(-1, 3)
    points = torch.cartesian_prod(*[torch.linspace(-1, 1, size)] * 2)
    optimiser = torch.optim.Adam(network.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        batch = torch.randint(len(points), (4096,))
        loss = (network(points[batch]) - colours[batch]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


def siren(steps: int = 400) -> nn.Module:
    """A photograph in a SIREN of 128 x 3."""
    torch.manual_seed(0)
    return trained(Siren(), steps, 1e-3)


def hash_grid(steps: int = 400) -> nn.Module:
    """A photograph in a hash grid."""
    torch.manual_seed(0)
    return trained(HashGrid(), steps, 5e-3)


def unit_square(points: np.ndarray) -> np.ndarray:
    """Columns x, y in [0, 1], as tiny-cuda-nn has them: give --coordinates xy --domain 0,1."""
    x, y = points.T
    return np.stack([x, y, 0.5 + 0.5 * np.sin(12 * x * y)], axis=-1)


def spheres(points: np.ndarray) -> np.ndarray:
    """The distance to a union of balls in space, negative inside."""
    centres = np.array([[0.1, -0.2, 0.05], [-0.35, 0.25, 0.3], [0.4, 0.3, -0.25], [-0.2, -0.45, -0.4]])
    radii = np.array([0.42, 0.3, 0.33, 0.25])
    x, y, z = points.T
    places = np.stack([x, y, z], axis=-1)[:, None]
    return np.min(np.linalg.norm(places - centres, axis=-1) - radii, axis=1)[:, None]


def checker(points: np.ndarray) -> np.ndarray:
    """Four by four squares, black and white, that repeat: --boundary periodic."""
    rows, columns = np.floor(2 * (points[:, :2].T + 1) + 1e-9)
    return ((rows + columns) % 2)[:, None]


def density(points: np.ndarray) -> np.ndarray:
    """Fog about the balls, as a volume renderer integrates it."""
    return 30 * np.exp(-((spheres(points) / 0.08) ** 2))


def light_stage(points: np.ndarray) -> np.ndarray:
    """A ball seen at (y, x) under light from (v, u): filter the light alone with --axes vu."""
    v, u, y, x = points.T
    light = np.stack([u, v, np.ones_like(u)], axis=-1)
    light /= np.linalg.norm(light, axis=-1, keepdims=True)
    inside = np.clip(0.64 - x**2 - y**2, 0, None)
    normal = np.stack([x, y, np.sqrt(inside)], axis=-1) / 0.8
    shine = np.clip((normal * light).sum(axis=-1), 0, None)
    return (np.where(inside > 0, 0.8 * shine + 0.2 * shine**30, 0.05))[:, None]
