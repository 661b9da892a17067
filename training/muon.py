"""Muon in float32, matrices of one shape orthogonalised together.

torch.optim.Muon iterates in bfloat16, which CPUs without such units run about 25 times slower than float32;
the update is the same (Jordan et al. 2024; scale matched to AdamW's rms, Liu et al. 2025), and float64
weights gain nothing from a more precise one.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

STEPS, QUINTIC = 5, (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor) -> Tensor:
    """Newton-Schulz iteration towards the nearest orthogonal matrices, [B, m, k] -> [B, m, k], in float32."""
    matrices = matrices.float()
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    a, b, c = QUINTIC
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum on matrices, each update orthogonalised and given AdamW's typical rms of 0.2."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})
        if any(p.ndim != 2 for group in self.param_groups for p in group["params"]):
            raise ValueError("Muon updates matrices only; give vectors to Adam")

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    shapes[p.shape].append(p)
            for shape, matrices in shapes.items():
                updates = [self._momentum(p, group["momentum"]) for p in matrices]
                scale = 0.2 * max(shape) ** 0.5
                for p, update in zip(matrices, orthogonalise(torch.stack(updates)), strict=True):
                    p.add_(update.to(p.dtype), alpha=-group["lr"] * scale)

    def _momentum(self, p: Tensor, momentum: float) -> Tensor:
        """Nesterov's look-ahead of the running mean of gradients."""
        mean, gradient = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p)), p.grad
        assert gradient is not None
        mean.lerp_(gradient, 1 - momentum)
        return gradient.lerp(mean, momentum)
