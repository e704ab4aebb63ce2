"""The small scene that claims about training share: handwritten digits and a small net."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Objective
from holdfast.run.loop import Training
from holdfast.run.search import search
from holdfast.threats.norms import LInf


@cache
def _all() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    raw = load_digits()
    return torch.tensor(raw.data, dtype=torch.float32) / 16, torch.tensor(raw.target)


def split(seed: int, rows: int, noise: float = 0.0) -> tuple[Batches, Batches]:
    """Rows to learn from, a share of whose labels is drawn at random, and 500 clean others."""
    g = torch.Generator().manual_seed(seed)
    x, y = _all()
    order = torch.randperm(len(y), generator=g)
    x, y = x[order], y[order]
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


def robust_accuracy(model: nn.Module, data: Batches, radius: float) -> float:
    """Share of rows that stay right under forty steps of ascent on the margin."""
    rows = data.take(slice(0, 200))
    attack, threat = PGD(steps=40, climb="margin"), LInf(radius=radius)
    found = search(attack, model.eval(), rows.whole.x, Untargeted(rows.y), threat)  # type: ignore[arg-type]
    return 1 - float(found.broken.double().mean())


@cache
def plain_accuracy(seed: int, rows: int, noise: float, epochs: int, width: int) -> float:
    """Clean accuracy after plain training on noisy labels: what robust losses are held against."""
    data, test = split(seed, rows, noise)
    return accuracy(trained(seed, data, "objective:supervised", epochs, width), test)


@cache
def plain_robust(seed: int, rows: int, epochs: int, radius: float) -> float:
    """Robust accuracy after plain training: what hardening is held against."""
    data, test = split(seed, rows)
    return robust_accuracy(trained(seed, data, "objective:supervised", epochs), test, radius)
