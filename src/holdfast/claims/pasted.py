"""The small scene that claims about objects share: digits cut out and pasted on grounds."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.claims.digits import drawn
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.measures.model.factors import laid
from holdfast.run.loop import Training

SIDE, KINDS = 20, (0, 1, 4, 7)


@cache
def objects(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """White objects, their masks and classes: four kinds of digits, 16 x 16 pixels."""
    x, y = drawn(torch.Generator().manual_seed(seed))
    kept = torch.isin(y, torch.tensor(KINDS))
    y = torch.searchsorted(torch.tensor(KINDS), y[kept])
    mask = F.interpolate(x[kept].reshape(-1, 1, 8, 8), 16, mode="bilinear").clamp(0, 1)
    mask = ((mask - 0.25) * 2).clamp(0, 1)
    return torch.ones_like(mask), mask, y


def grounds(level: Tensor, g: torch.Generator) -> Tensor:
    """Noisy grounds of given mean grey."""
    noise = 0.1 * torch.randn(len(level), 1, SIDE, SIDE, generator=g)
    return (level[:, None, None, None] + noise).clamp(0, 1)


def scenes(seed: int, rows: slice, bias: float, area: float = 0.8, spread: float = 0.0) -> Batches:
    """Objects on grounds whose grey tells the class in a share `bias` of the rows.

    Args:
        seed: of everything.
        rows: which objects.
        bias: share of rows whose ground is that of the class, the others' is drawn.
        area: of the object's box, as a share of the image.
        spread: of random places around the middle, as a share of the sides.
    """
    g = torch.Generator().manual_seed(seed + 1000)
    fore, mask, y = (t[rows] for t in objects(seed))
    told = torch.rand(len(y), generator=g) < bias
    kind = torch.where(told, y, torch.randint(len(KINDS), (len(y),), generator=g))
    ground = grounds(0.05 + 0.15 * kind, g)
    away = torch.randint(1, len(KINDS), (len(y),), generator=g)
    other = grounds(0.05 + 0.15 * ((y + away) % len(KINDS)), g)
    if spread:
        groups = torch.randint(25, (len(y),), generator=g)
        x = torch.empty(len(y), 1, SIDE, SIDE)
        for k in groups.unique().tolist():
            own = (groups == k).nonzero()[:, 0]
            at = 0.5 + spread * (k // 5 / 2 - 1), 0.5 + spread * (k % 5 / 2 - 1)
            x[own] = laid(fore[own], mask[own], ground[own], area=area, centre=at)[0]
        return Batches(x=x, y=y, size=100)
    x, _ = laid(fore, mask, ground, area=area)
    here, _ = laid(fore, mask, torch.zeros_like(ground), area=area)
    return Batches(x=x, y=y, size=100, more={"mask": here, "background": other})


def trained(seed: int, data: Batches, epochs: int = 12) -> nn.Sequential:
    """A small convolutional net."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(1, 8, 5, 2, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(400, len(KINDS)))  # fmt: skip
    fast = Later("torch:Adam", lr=4e-3)
    Training(epochs=epochs, optimizer=fast)(model, data, dice=Dice.of(len(data), seed))
    return model
