"""A small protein-folding stand-in: residues to a chain of points."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.testing.worlds.linear import draws


class Fold(nn.Module):
    """Windows of residues give two angles per residue, and these a chain with steps of length 1.

    Args:
        roughness: scale of the weights: how much one residue turns the chain.
        seed: of the weights.
    """

    def __init__(self, roughness: float = 1.0, seed: int = 0) -> None:
        super().__init__()
        g = draws(seed)
        self.table = nn.Embedding(20, 3 * 8, dtype=torch.float64)
        self.head = nn.Linear(8, 2, dtype=torch.float64)
        with torch.no_grad():
            self.table.weight.copy_(torch.randn(20, 24, generator=g, dtype=torch.float64))
            self.head.weight.copy_(roughness * torch.randn(2, 8, generator=g, dtype=torch.float64))
            self.head.bias.copy_(torch.tensor([0.6, 0.3]))

    def forward(self, ids: Tensor) -> Tensor:
        """`(B, L, 3)` points of sequences `(B, L)`."""
        near = self.table(ids).unflatten(2, (3, 8))
        left, right = near[:, :, 0].roll(1, 1), near[:, :, 2].roll(-1, 1)
        turn, lift = self.head(torch.tanh(near[:, :, 1] + left + right)).cumsum(1).unbind(2)
        step = torch.stack([turn.cos() * lift.cos(), turn.sin() * lift.cos(), lift.sin()], 2)
        return step.cumsum(1)
