"""The small networks fields are made of: positional encoding, swish layers, sine layers and networks split by axis."""

import functools
import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PositionalEncoding(nn.Module):
    """[x, sin(2^k x) / 2^(k e), cos(2^k x) / 2^(k e)] for bands k = 0..bands-1; points [N, d] -> [N, d (1 + 2 bands)].

    e is the authors' `norm_exp`: 0 leaves the bands as they are, 1 divides each by its frequency, so that a
    field starts smooth and its repeated derivative is not dominated by the highest band.
    """

    frequencies: Tensor
    damping: Tensor

    def __init__(self, bands: int, norm_exp: float) -> None:
        super().__init__()
        frequencies = 2.0 ** torch.arange(bands)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.register_buffer("damping", frequencies**-norm_exp, persistent=False)

    def forward(self, points: Tensor) -> Tensor:
        angles = points[..., None, :] * self.frequencies.to(points.dtype)[:, None]
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1) * self.damping.to(points.dtype)[:, None]
        return torch.cat([points, waves.flatten(-2)], dim=-1)


class Network(nn.Module):
    """Features of points [N, d] -> [N, width], or of all points of a tensor grid."""

    def grid(self, nodes: Sequence[Tensor]) -> Tensor:
        """Features at the tensor grid of `nodes` [N_j] per axis -> [N_1, ..., N_d, width]."""
        points = torch.cartesian_prod(*nodes).reshape(-1, len(nodes))
        return self(points).reshape(*map(len, nodes), -1)


class SwishNetwork(Network):
    """Linear layers with swish between them on a positional encoding; points [N, d] -> features [N, width]."""

    def __init__(self, dim: int, width: int, layers: int, bands: int, norm_exp: float) -> None:
        super().__init__()
        self.encoding = PositionalEncoding(bands, norm_exp)
        widths = [dim * (1 + 2 * bands)] + [width] * layers
        linear = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
        for layer in linear:
            nn.init.normal_(layer.weight, std=1.0 / math.sqrt(layer.in_features))
        self.layers = nn.ModuleList(linear)

    def forward(self, points: Tensor) -> Tensor:
        features = self.encoding(points)
        for layer in self.layers:
            features = F.silu(layer(features))
        return features


class SineNetwork(Network):
    """A SIREN without its last layer: sin(omega_0 (W x + b)); points [N, d] -> features [N, width].

    omega_0 scales every activation and, inversely, the initial weights of all layers but the first
    (Sitzmann et al. 2020, section 3.2).
    """

    def __init__(self, dim: int, width: int, layers: int, omega_0: float) -> None:
        super().__init__()
        self.omega_0 = omega_0
        widths = [dim] + [width] * layers
        linear = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
        for index, layer in enumerate(linear):
            bound = 1.0 / dim if index == 0 else math.sqrt(6.0 / width) / omega_0
            nn.init.uniform_(layer.weight, -bound, bound)
        self.layers = nn.ModuleList(linear)

    def forward(self, points: Tensor) -> Tensor:
        features = points
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            # omega_0 on the weights: there are fewer of them than activations.
            features = torch.sin(F.linear(features, self.omega_0 * layer.weight, self.omega_0 * layer.bias))
        return features


class SplitNetwork(Network):
    """Shared layers on the product of a network and a linear layer per coordinate; points [N, d] -> features [N, w].

    What sees one coordinate costs a tensor grid its axes, not its points, so that the shared layers are all it costs
    (Liang et al. 2022; products as in Chen et al. 2022). `gain` scales the linear layers and, inversely, their weights.
    """

    def __init__(self, axes: Sequence[nn.Module], shared: nn.Module, width: int, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = gain
        self.axes = nn.ModuleList(axes)
        self.products = nn.ModuleList(nn.Linear(width, width) for _ in axes)
        self.shared = shared
        for layer in self.products:
            assert isinstance(layer, nn.Linear)
            nn.init.normal_(layer.weight, std=1.0 / math.sqrt(width) / gain)

    def _parts(self, coordinates: Sequence[Tensor]) -> list[Tensor]:
        """What is multiplied: coordinates [N_j] per axis -> [N_j, width]."""
        triples = zip(self.products, self.axes, coordinates, strict=True)
        return [self.gain * product(axis(x[:, None])) for product, axis, x in triples]

    def forward(self, points: Tensor) -> Tensor:
        return self.shared(functools.reduce(torch.mul, self._parts(points.unbind(-1))))

    def grid(self, nodes: Sequence[Tensor]) -> Tensor:
        """Features at the tensor grid of `nodes` [N_j] per axis -> [N_1, ..., N_d, width]."""
        first, *others = self._parts(nodes)
        for part in others:
            first = first[..., None, :] * part
        return self.shared(first.flatten(0, -2)).reshape(first.shape)
