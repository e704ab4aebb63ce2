"""Only the largest activations of a token go on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.core.ranges import inside

MAP = 4  # dimensions of a batch of maps


class TopK(nn.Module):
    """Keeps the k largest units of every token and sets the others to zero.

    Units are the channels of a map `(B, C, H, W)`, else the last dimension.

    Exactly k entries are kept, ties by position; the gradient passes through these and is zero
    elsewhere. With k at least the width it is the identity.

    Args:
        k: entries kept per token.

    Raises:
        ConfigError: if k is less than 1.
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        inside("[1, inf]", "TopK", k=k)
        self.k = k

    def forward(self, h: Tensor) -> Tensor:
        """`(..., d)` to the same."""
        units = 1 if h.dim() == MAP else -1
        if self.k >= h.shape[units]:
            return h
        at = h.topk(self.k, units).indices
        return h * torch.zeros_like(h).scatter(units, at, 1.0)

    def extra_repr(self) -> str:
        """For print(model)."""
        return f"k={self.k}"
