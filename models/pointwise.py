"""Fields that are one network of all coordinates: the SIREN and the swish MLP of Nsampi et al. 2023, section 5."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.config import FieldConfig, Origin
from models.field import Field, Progress
from models.networks import Network, SineNetwork, SplitNetwork, SwishNetwork
from models.stencil import Stencil


class PointwiseField(Field):
    """F(x) = A phi(x) + P(x), phi a SIREN or a swish MLP with positional encoding; config.kind says which."""

    def __init__(self, config: FieldConfig, origin: Origin) -> None:
        super().__init__(config, origin)
        self.network = build_network(config)
        # Moment conditions cancel every constant; only the weights of the authors' kernels let one through.
        self.head = nn.Linear(config.num_channels, config.channels, bias=config.bias)

    def network_points(self, points: Tensor) -> Tensor:
        return self.head(self.network(points))

    def network_grid(self, stencils: Sequence[Stencil]) -> Tensor:
        nodes = [s.nodes.to(self.dtype) for s in stencils]
        features = self.network.grid(nodes)
        # Differences commute with the last layer. Few neighbours: difference its many inputs, whose rounding
        # errors are small. Long sums: combine its few outputs, in float64.
        early = all(s.local for s in stencils)
        values = features if early else self.head(features)
        for axis, stencil in enumerate(stencils):
            values = stencil.combine(values, axis)
        return F.linear(values, self.head.weight) if early else values

    def grid_sum(self, terms: Sequence[Sequence[Stencil]], block: int, progress: Progress | None = None) -> Tensor:
        """All terms from one set of samples: their nodes are the same, only their weights differ."""
        nodes = [s.nodes for s in terms[0]]
        samples = self._samples([node.to(self.dtype) for node in nodes], block, progress)

        def seen(stencils: Sequence[Stencil]) -> Tensor:
            values = samples
            for axis, stencil in enumerate(stencils):
                values = stencil.combine(values, axis)
            return values + self.polynomial.grid(stencils)

        total = seen(terms[0])
        for stencils in terms[1:]:
            total = total + seen(stencils)
        return total

    def _samples(self, nodes: Sequence[Tensor], block: int, progress: Progress | None = None) -> Tensor:
        """The network part on the tensor grid of `nodes`, at most about `block` points at once; float64."""
        sizes = [len(node) for node in nodes]
        if (count := math.prod(sizes)) <= block:
            return self.head(self.network.grid(nodes)).double()
        axis = sizes.index(max(sizes))
        rows, parts = max(1, sizes[axis] * block // count), []
        for part in nodes[axis].split(rows):
            parts.append(self._samples([*nodes[:axis], part, *nodes[axis + 1 :]], block))
            if progress:
                progress(min(1.0, len(parts) * rows / sizes[axis]))
        return torch.cat(parts, dim=axis)

    @torch.no_grad()
    def rescale(self, stencils: Sequence[Stencil], size: Tensor) -> None:
        values = self.network_grid(stencils).flatten(0, -2)
        rms = values.square().mean(dim=0).sqrt().clamp_min(torch.finfo(values.dtype).tiny)
        self.head.weight.mul_((size / rms).to(self.dtype)[:, None])


def build_network(config: FieldConfig) -> Network:
    """The SIREN or swish MLP of a configuration without its last layer, its first layers split by axis where asked."""

    def network(dim: int, layers: int, bands: int) -> Network:
        if config.kind == "siren":
            return SineNetwork(dim, config.num_channels, layers, config.omega_0)
        return SwishNetwork(dim, config.num_channels, layers, bands, config.norm_exp)

    layers, split = config.num_layers + 1, config.split
    if not split:
        return network(config.dim, layers, config.pe)
    axes = [network(1, split, config.pe) for _ in range(config.dim)]
    gain = config.omega_0 if config.kind == "siren" else 1.0
    return SplitNetwork(axes, network(config.num_channels, layers - split - 1, 0), config.num_channels, gain)
