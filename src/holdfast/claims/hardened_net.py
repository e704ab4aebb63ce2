"""The small net of `small_net`, trained against an adversary: a scale of known robustness."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from holdfast.claims.small_net import digits


def _worst(model: nn.Module, x: Tensor, y: Tensor, radius: float, inner: int) -> Tensor:
    """Inputs after a few signed steps inside the ball."""
    change = torch.zeros_like(x)
    for _ in range(inner if radius else 0):
        moved = change.requires_grad_()
        loss = nn.functional.cross_entropy(model((x + moved).clamp(0, 1)), y)
        (slope,) = torch.autograd.grad(loss, moved)
        change = (moved.detach() + 2 * radius / inner * slope.sign()).clamp(-radius, radius)
    return (x + change).clamp(0, 1).detach()


@cache
def hardened(
    seed: int, radius: float, steps: int = 100, hidden: int = 64, inner: int = 4
) -> nn.Sequential:
    """A ReLU net with one hidden layer, trained on the first half of the digits.

    Full batches and Adam; each step learns the half after `inner` signed steps of ascent inside
    an LInf ball. Radius 0 is plain training from the same start.
    """
    train, _ = digits(seed)
    x, y = train.whole.x, train.y
    g = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g) * (0.15 if p.dim() > 1 else 0.0))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        seen = _worst(model, x, y, radius, inner)  # type: ignore[arg-type]
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(seen), y).backward()
        optimizer.step()
    model.zero_grad()
    return model.eval()
