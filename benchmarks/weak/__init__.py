"""Five nets for digits, each with one weakness planted, and the data that show it.

Every world is a module of data that the command line reads by name: `weak:learning` and
`weak:judging`, with $WEAK naming the world and $WEAK_SEED its seed.
"""

from __future__ import annotations

import os

import torch
import torch.nn.functional as F
from cells import digits, small
from torch import Tensor, nn

from holdfast.core.data import Batches

WORLDS = ("no robustness", "noisy labels", "miscalibrated", "spurious background", "fragile class")
Rows = tuple[Tensor, Tensor, Tensor | None]


def _ground(x: Tensor, y: Tensor, true: float, seed: int) -> tuple[Tensor, Tensor]:
    """A bright background behind odd digits in so many rows, and behind even ones in the rest."""
    g = torch.Generator().manual_seed(seed)
    along = torch.rand(len(x), generator=g) < true
    bright = torch.where(along, y % 2 == 1, y % 2 == 0)
    lit = torch.maximum(x, 0.6 * bright.float()[:, None, None, None])
    return lit, (y % 2) * 2 + bright.long()


def rows(world: str, seed: int) -> tuple[Rows, Rows]:
    """Rows to learn from and rows that judge."""
    x, y, tx, ty = digits()
    g = torch.Generator().manual_seed(seed)
    own: Tensor | None = None
    theirs: Tensor | None = None
    if world == "noisy labels":
        wrong = torch.rand(len(y), generator=g) < 0.3
        y = torch.where(wrong, (y + torch.randint(1, 10, y.shape, generator=g)) % 10, y)
    if world == "spurious background":
        x, own = _ground(x, y, 0.97, seed)
        tx, theirs = _ground(tx, ty, 0.5, seed + 1)
    if world == "fragile class":
        kept = (y != 8) | (torch.rand(len(y), generator=g) < 0.06)
        x, y = x[kept], y[kept]
    return (x, y, own), (tx, ty, theirs)


def _read(part: int) -> Batches:
    world, seed = os.environ["WEAK"], int(os.environ["WEAK_SEED"])
    x, y, group = rows(world, seed)[part]
    return Batches(x=x, y=y, group=group, classes=tuple(map(str, range(10))))


def learning() -> Batches:
    """What the net was trained on."""
    return _read(0)


def judging() -> Batches:
    """What it is judged on."""
    return _read(1)


def net() -> nn.Module:
    """The architecture."""
    return small()


def weak(world: str, seed: int) -> nn.Module:
    """A net with the weakness; plainly trained on the rows of its world."""
    (x, y, _), _ = rows(world, seed)
    torch.manual_seed(seed)
    model, epochs = small(), 60 if world == "noisy labels" else 25
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(x[part]), y[part]).backward()
            optimizer.step()
    if world == "miscalibrated":
        with torch.no_grad():
            for p in model[-1].parameters():  # type: ignore[index]
                p.mul_(0.05)
    return model.eval()


GATES: dict[str, dict[str, str]] = {
    "no robustness": {"attacks.worst@linf:0.1": ">= 0.5", "clean.accuracy": ">= 0.9"},
    "noisy labels": {"clean.accuracy": ">= 0.95", "calibration.ece": "<= 0.15"},
    "miscalibrated": {"calibration.ece": "<= 0.05", "clean.accuracy": ">= 0.9"},
    "spurious background": {"clean.worst_class": ">= 0.9", "clean.accuracy": ">= 0.8"},
    "fragile class": {"clean.worst_class": ">= 0.9", "clean.accuracy": ">= 0.9"},
}
SUITE = """
[[check]]
use = "check:clean"
[[check]]
use = "check:slices"
[[check]]
use = "check:calibration"
[[check]]
use = "check:worst-case"
attacks = [{ use = "attack:ensemble", tier = "fast" }]
limit = 300
probes = 16
"""
