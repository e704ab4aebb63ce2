"""Nets, data and threats that attacks are compared on: fixed by their seeds, trained when asked."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Threat
from holdfast.objectives.adversary import Departure, divergence
from holdfast.threats.norms import L1, L2, LInf

Split = tuple[Tensor, Tensor, Tensor, Tensor]  # inputs and labels to train on, then held-out ones


@dataclass(frozen=True)
class Cell:
    """One comparison: a net trained in one way, attacked within one threat.

    Args:
        name: shown in the table.
        data: where rows come from.
        make: the untrained net.
        kind: `plain`, `pgd` or `trades`.
        against: what it was hardened against.
        threat: what it is attacked within.
        epochs: of training.
    """

    name: str
    data: Callable[[], Split]
    make: Callable[[], nn.Module]
    kind: str
    against: Threat
    threat: Threat
    epochs: int


def digits() -> Split:
    """1,797 digits of 8 x 8 pixels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    x, y = torch.tensor(data.images / 16).float()[:, None], torch.tensor(data.target).long()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(11))
    return x[order[:1200]], y[order[:1200]], x[order[1200:]], y[order[1200:]]


def mnist() -> Split:
    """10,000 training and 10,000 test digits of 28 x 28 pixels, from $HOLDFAST_DATA."""
    folder = Path(os.environ.get("HOLDFAST_DATA", "")) / "mnist"

    def read(name: str, skip: int) -> Tensor:
        raw = gzip.decompress((folder / name).read_bytes())
        return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=skip).copy())

    parts = []
    for part, count in (("train", 10000), ("t10k", 10000)):
        images = read(f"{part}-images-idx3-ubyte.gz", 16).view(-1, 1, 28, 28)[:count]
        parts += [images.float() / 255, read(f"{part}-labels-idx1-ubyte.gz", 8)[:count].long()]
    return parts[0], parts[1], parts[2], parts[3]


def textures() -> Split:
    """Eight colour textures of 16 x 16 pixels, shifted, faded and noisy."""
    g = torch.Generator().manual_seed(77)
    plain = nn.functional.interpolate(torch.rand(8, 3, 5, 5, generator=g), (16, 16), mode="bicubic")
    y = torch.randint(8, (2600,), generator=g)
    fade = 0.5 + torch.rand(2600, 1, 1, 1, generator=g)
    x = (
        0.5
        + 0.4 * (plain.clamp(0, 1)[y] - 0.5) * fade
        + 0.1 * torch.randn(2600, 3, 16, 16, generator=g)
    )
    moves = torch.randint(-2, 3, (2600, 2), generator=g).tolist()
    x = torch.stack([row.roll((u, v), (1, 2)) for row, (u, v) in zip(x, moves, strict=True)])
    return x[:1800].clamp(0, 1), y[:1800], x[1800:].clamp(0, 1), y[1800:]


def flat() -> nn.Module:
    """A net without convolutions for 8 x 8 digits."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 192), nn.ReLU(), nn.Linear(192, 96), nn.ReLU(),
        nn.Linear(96, 10),
    )  # fmt: skip


def small() -> nn.Module:
    """A CNN for 8 x 8 digits."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 3, padding=1), nn.ReLU(), nn.Conv2d(20, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 48), nn.ReLU(), nn.Linear(48, 10),
    )  # fmt: skip


def coloured() -> nn.Module:
    """A CNN with normalisation and a smooth activation for 16 x 16 colour images."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.SiLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.SiLU(),
        nn.Conv2d(32, 32, 3, stride=2, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(512, 8),
    )  # fmt: skip


def large() -> nn.Module:
    """A CNN for 28 x 28 digits."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


CELLS = (
    Cell("digits CNN, plain", digits, small, "plain", LInf(radius=0.0), LInf(radius=0.05), 15),
    Cell("digits MLP, PGD", digits, flat, "pgd", LInf(radius=0.12), LInf(radius=0.12), 30),
    Cell("digits CNN, TRADES", digits, small, "trades", LInf(radius=0.15), LInf(radius=0.15), 25),
    Cell("digits CNN, L2 PGD", digits, small, "pgd", L2(radius=0.9), L2(radius=0.9), 25),
    Cell("digits CNN, under L1", digits, small, "pgd", L2(radius=0.6), L1(radius=1.5), 25),
    Cell("textures CNN, PGD", textures, coloured, "pgd", LInf(radius=0.05), LInf(radius=0.05), 10),
    Cell("textures CNN, L2", textures, coloured, "trades", L2(radius=0.7), L2(radius=0.7), 10),
    Cell("MNIST CNN, PGD", mnist, large, "pgd", LInf(radius=0.2), LInf(radius=0.2), 6),
    Cell("MNIST CNN, TRADES", mnist, large, "trades", LInf(radius=0.15), LInf(radius=0.15), 5),
    Cell("MNIST CNN, L2 PGD", mnist, large, "pgd", L2(radius=1.5), L2(radius=1.5), 6),
)


def trained(cell: Cell, seed: int) -> nn.Module:
    """The net of a cell, trained from a seed, in evaluation mode without parameter gradients."""
    x, y, *_ = cell.data()
    torch.manual_seed(seed)
    model, inner = cell.make(), PGD(steps=5, travel=2.5, climb="soft")
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for epoch in range(cell.epochs):
        grown = cell.against.scaled(min(1.0, (epoch + 1) / (0.4 * cell.epochs)))
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 if epoch < 0.7 * cell.epochs else 4e-4
        for part in torch.randperm(len(x)).split(64):
            loss = _loss(model, inner, cell.kind, grown, x[part], y[part], Dice(epoch, part))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval().requires_grad_(False)


def _loss(
    model: nn.Module, inner: PGD, kind: str, threat: Threat, x: Tensor, y: Tensor, dice: Dice
) -> Tensor:
    """What one batch teaches: plainly, on the worst inputs found, or by TRADES."""
    if kind == "plain":
        return nn.functional.cross_entropy(model(x), y)
    if kind == "pgd":
        moved = threat.apply(x, inner(model, x, Untargeted(y), threat, dice=dice))
        return nn.functional.cross_entropy(model(moved), y)
    away = Departure(model(x).detach().log_softmax(1))
    moved, z = threat.apply(x, inner(model, x, away, threat, dice=dice)), model(x)
    far = divergence(z.log_softmax(1), model(moved).log_softmax(1)).mean()
    return nn.functional.cross_entropy(z, y) + 4 * far
