"""The small scene that claims about training share: handwritten digits and a small net."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.core.kinds import Objective
from holdfast.run.loop import Training


@cache
def _all() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    raw = load_digits()
    return torch.tensor(raw.data, dtype=torch.float32) / 16, torch.tensor(raw.target)


def drawn(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """All 1,797 digits, 64 pixels in [0, 1], and their labels, in a drawn order."""
    x, y = _all()
    order = torch.randperm(len(y), generator=generator)
    return x[order], y[order]


def split(seed: int, rows: int, noise: float = 0.0) -> tuple[Batches, Batches]:
    """Rows to learn from, a share of whose labels is drawn at random, and 500 clean others."""
    g = torch.Generator().manual_seed(seed)
    x, y = drawn(g)
    random = torch.randint(10, (rows,), generator=g)
    wrong = torch.rand(rows, generator=g) < noise
    learned = torch.where(wrong, random, y[:rows])
    return Batches(x=x[:rows], y=learned, size=64), Batches(x=x[-500:], y=y[-500:], size=500)


def net(seed: int, width: int = 64) -> nn.Sequential:
    """A net of one hidden layer."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def trained(
    seed: int, data: Batches, objective: Objective | str, epochs: int, width: int = 64
) -> nn.Sequential:
    """A net after training with Adam."""
    model = net(seed, width)
    fast = Later("torch:Adam", lr=3e-3)
    Training(objective=objective, epochs=epochs, optimizer=fast)(model, data)
    return model


def accuracy(model: nn.Module, data: Batches) -> float:
    """Share of rows that the model gets right."""
    with torch.no_grad():
        return float((model.eval()(data.x).argmax(1) == data.y).double().mean())
