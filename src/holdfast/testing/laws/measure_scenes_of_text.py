"""Worlds of measures that compare answers, texts, rankings and tags."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.testing.worlds import TinyReLU, draws


def before(rows: int) -> tuple[Tensor, ...]:
    """Logits before and after noise on the inputs, and labels of which some are wrong."""
    world = TinyReLU.make(rows=40)
    noise = 0.1 * torch.randn(world.x.shape, generator=draws(8), dtype=torch.float64)
    with torch.no_grad():
        a, b = world.model(world.x), world.model((world.x + noise).clamp(0, 1))
    y = torch.where(torch.arange(40) % 5 == 0, (world.y + 1) % 3, world.y)
    return a[:rows], b[:rows], y[:rows]
