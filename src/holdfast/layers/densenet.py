"""Densely connected convolutions over volumes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Dense(nn.Module):
    """Adds channels made from all channels so far."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm3d(channels), nn.ReLU(), nn.Conv3d(channels, growth, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.body(x)], 1)


class _Half(nn.Module):
    """Means over blocks of two in each direction, as far as there are two."""

    def forward(self, x: Tensor) -> Tensor:
        d, h, w = ((n + 1) // 2 for n in x.shape[2:])
        out: Tensor = F.adaptive_avg_pool3d(x, (d, h, w))
        return out


class DenseNet3d(nn.Module):
    """Blocks of dense layers with halvings between them, then the mean over all places.

    Volumes are normalised first, each by itself: mean 0 and deviation 1 over what is brighter
    than a twentieth of its maximum, so that the scale of a scanner does not matter.

    Args:
        classes: outputs.
        growth: channels that each layer adds.
        blocks: layers of each block.
        normalise: whether volumes are normalised.
    """

    def __init__(
        self, classes: int = 2, growth: int = 8, blocks: tuple[int, ...] = (3, 6, 8),
        *, normalise: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        channels = 2 * growth
        parts: list[nn.Module] = [nn.Conv3d(1, channels, 3, padding=1), nn.ReLU(), _Half()]
        for k, layers in enumerate(blocks):
            parts += [_Dense(channels + i * growth, growth) for i in range(layers)]
            channels += layers * growth
            if k + 1 < len(blocks):
                parts += [nn.Conv3d(channels, channels // 2, 1), _Half()]
                channels //= 2
        parts += [nn.BatchNorm3d(channels), nn.ReLU()]
        self.body, self.head = nn.Sequential(*parts), nn.Linear(channels, classes)
        self.normalise = normalise

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 1, D, H, W)` volumes to logits."""
        seen = normalised(x) if self.normalise else x
        out: Tensor = self.head(self.body(seen).mean((2, 3, 4)))
        return out


def normalised(x: Tensor) -> Tensor:
    """Volumes with mean 0 and deviation 1 over what is brighter than 1/20 of their maximum."""
    inside = (x > x.flatten(1).amax(1).reshape(-1, *[1] * (x.dim() - 1)) / 20).to(x)
    axes = tuple(range(1, x.dim()))
    count = inside.sum(axes, keepdim=True).clamp(min=1)
    mean = (x * inside).sum(axes, keepdim=True) / count
    spread = (((x - mean) ** 2 * inside).sum(axes, keepdim=True) / count).sqrt()
    return (x - mean) / spread.clamp(min=1e-6)
