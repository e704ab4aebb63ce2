"""A small mixture of experts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.testing.worlds.linear import draws, linear_layer


class Experts(nn.Module):
    """Four linear experts in the shares of a linear router, the best two of each row."""

    def __init__(self, k: int = 2, seed: int = 0) -> None:
        super().__init__()
        g = draws(seed)
        self.experts = nn.ModuleList(_linear(4, 3, g) for _ in range(4))
        self.router, self.k = _linear(4, 4, g), k

    def routing(self, x: Tensor) -> Tensor:
        """`(B, 4)` shares."""
        best, which = self.router(x).topk(self.k, 1)
        return x.new_zeros(len(x), 4).scatter(1, which, best.softmax(1))

    def combine(self, x: Tensor, shares: Tensor) -> Tensor:
        """Experts in given shares."""
        every = torch.stack([expert(x) for expert in self.experts], 1)
        return (shares[..., None] * every).sum(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.combine(x, self.routing(x))


def _linear(inputs: int, outputs: int, g: torch.Generator) -> nn.Linear:
    weight = torch.randn(outputs, inputs, generator=g, dtype=torch.float64)
    return linear_layer(weight, -weight @ torch.full((inputs,), 0.5, dtype=torch.float64))
