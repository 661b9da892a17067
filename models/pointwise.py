"""Fields that are one network of all coordinates: the SIREN and the swish MLP of Nsampi et al. 2023, section 5."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.config import FieldConfig, Origin
from models.field import Field, Progress
from models.networks import SineNetwork, SwishNetwork
from models.stencil import Stencil


class PointwiseField(Field):
    """F(x) = A phi(x) + P(x), phi a SIREN or a swish MLP with positional encoding; config.kind says which."""

    def __init__(self, config: FieldConfig, origin: Origin) -> None:
        super().__init__(config, origin)
        width, layers = config.num_channels, config.num_layers + 1
        if config.kind == "siren":
            self.network: nn.Module = SineNetwork(config.dim, width, layers, config.omega_0)
        else:
            self.network = SwishNetwork(config.dim, width, layers, config.pe, config.norm_exp)
        # Moment conditions cancel every constant; only the weights of the authors' kernels let one through.
        self.head = nn.Linear(width, config.channels, bias=config.bias)

    def network_points(self, points: Tensor) -> Tensor:
        return self.head(self.network(points))

    def network_grid(self, stencils: Sequence[Stencil]) -> Tensor:
        nodes = [s.nodes.to(self.dtype) for s in stencils]
        points = torch.cartesian_prod(*nodes).reshape(-1, len(nodes))
        features = self.network(points)
        shape = [len(node) for node in nodes]
        # Differences commute with the last layer. Few neighbours: difference its many inputs, whose rounding
        # errors are small. Long sums: combine its few outputs, in float64.
        early = all(s.local for s in stencils)
        values = (features if early else self.head(features)).reshape(*shape, -1)
        for axis, stencil in enumerate(stencils):
            values = stencil.combine(values, axis)
        return F.linear(values, self.head.weight) if early else values

    def grid_sum(self, terms: Sequence[Sequence[Stencil]], block: int, progress: Progress | None = None) -> Tensor:
        """All terms from one set of samples: their nodes are the same, only their weights differ."""
        nodes = [s.nodes for s in terms[0]]
        samples = self._samples(nodes, block, progress)

        def seen(stencils: Sequence[Stencil]) -> Tensor:
            values = samples
            for axis, stencil in enumerate(stencils):
                values = stencil.combine(values, axis)
            return values + self.polynomial.grid(stencils)

        total = seen(terms[0])
        for stencils in terms[1:]:
            total = total + seen(stencils)
        return total

    def _samples(self, nodes: Sequence[Tensor], block: int, progress: Progress | None) -> Tensor:
        """The network part on the tensor grid of `nodes`, at most about `block` points at once; float64."""
        rest = [node.to(self.dtype) for node in nodes[1:]]
        rows = max(1, block // math.prod(len(node) for node in rest))
        slabs = []
        for slab in nodes[0].to(self.dtype).split(rows):
            points = torch.cartesian_prod(slab, *rest).reshape(-1, len(nodes))
            values = torch.cat([self.network_points(part) for part in points.split(block)])
            slabs.append(values.double().reshape(len(slab), *map(len, rest), -1))
            if progress:
                progress(min(1.0, len(slabs) * rows / len(nodes[0])))
        return torch.cat(slabs)

    @torch.no_grad()
    def rescale(self, stencils: Sequence[Stencil], size: Tensor) -> None:
        values = self.network_grid(stencils).flatten(0, -2)
        rms = values.square().mean(dim=0).sqrt().clamp_min(torch.finfo(values.dtype).tiny)
        self.head.weight.mul_((size / rms).to(self.dtype)[:, None])
