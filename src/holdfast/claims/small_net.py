"""A small net on scikit-learn's digits, trained in a moment: what several claims are tried on."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from holdfast.core.data import Batches


@cache
def digits(seed: int) -> tuple[Batches, Batches]:
    """Two halves of the 1,797 digits, 8 x 8 pixels in [0, 1], in an order drawn from the seed."""
    from sklearn.datasets import load_digits

    data = load_digits()
    x = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    y = torch.tensor(data.target).long()
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    x, y = x[order], y[order]
    half = len(y) // 2
    return Batches(x=x[:half], y=y[:half], size=1024), Batches(x=x[half:], y=y[half:], size=1024)


@cache
def trained(seed: int, classes: int = 10, steps: int = 150, hidden: int = 64) -> nn.Sequential:
    """A ReLU net with one hidden layer, trained on the first half of the first `classes` digits."""
    train, _ = digits(seed)
    g = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g) * (0.15 if p.dim() > 1 else 0.0))
    chosen = train.take(train.y < classes)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(chosen.x), chosen.y).backward()
        optimizer.step()
    model.zero_grad()
    return model.eval()


def error(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of wrong answers."""
    with torch.no_grad():
        return float((model(x).argmax(1) != y).double().mean())
