"""One vector from the states of all layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LayerPool(nn.Module):
    """A weighted mean over layers; the weights are positive, sum to 1 and are learned.

    The states themselves come from a frozen model, for instance the mean over the tokens of a
    completion: only the profile over the layers is trained. It starts even.

    Args:
        layers: how many there are.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(layers))

    @property
    def profile(self) -> Tensor:
        """`(L,)`: weight of every layer."""
        return self.scores.softmax(0)

    def forward(self, h: Tensor) -> Tensor:
        """`(B, L, d)` to `(B, d)`."""
        return torch.einsum("l,bld->bd", self.profile.to(h), h)
