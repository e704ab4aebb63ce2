"""Rows whose every coordinate tells the class, by rules of different complexity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Count, Share

Kind = Literal["lms-5", "lms-7", "ms-57", "lsn", "slabs-5"]
LINEAR, NOISE = 1, 0
# Of a block of k slabs: which slab each class takes, counted from the centre, and how often the
# first of them. Both sides of the centre are equally likely.
SLABS: dict[int, tuple[tuple[int, int, float], tuple[int, int, float]]] = {
    3: ((0, 0, 1.0), (1, 1, 1.0)),
    5: ((0, 2, 0.75), (1, 1, 1.0)),
    7: ((0, 2, 0.5), (1, 3, 0.875)),
}


def linear_block(y: Tensor, u: Tensor, margin: float) -> Tensor:
    """Coordinates at least `margin` from zero, on the side of the class; one cut tells them."""
    return (2 * y - 1) * (margin + (1 - margin) * u)


def slab_block(y: Tensor, draws: Tensor, slabs: int, margin: float) -> Tensor:
    """Coordinates in slabs of equal width whose classes alternate; `slabs - 1` cuts tell them.

    Args:
        y: `(n, d)` classes.
        draws: `(n, d, 3)` uniform numbers: place in the slab, which slab, which side.
        slabs: 3, 5 or 7.
        margin: half the distance of neighbouring slabs.
    """
    place, which, side = draws.unbind(-1)
    width = (2 - 2 * (slabs - 1) * margin) / slabs
    first, second, often = (
        torch.tensor(column, dtype=draws.dtype)[y] for column in zip(*SLABS[slabs], strict=True)
    )
    slab = torch.where(which < often, first, second)
    outer = (slab - 0.5) * width + 2 * slab * margin + width * place
    return torch.where(side < 0.5, -1, 1) * torch.where(slab == 0, width / 2 * place, outer)


def slab_class(x: Tensor, slabs: int, margin: float) -> Tensor:
    """The class of coordinates of a slab block: whether the slab they lie in is odd."""
    if slabs == LINEAR:
        return (x > 0).long()
    width = (2 - 2 * (slabs - 1) * margin) / slabs
    return ((x.abs() + width / 2 + margin) / (width + 2 * margin)).floor().long() % 2


@dataclass(frozen=True, eq=False)
class Slabs:
    """The truth about rows of slabs.

    Args:
        blocks: slabs of each coordinate; 1 for the linear one, 0 for noise.
        margin: half the distance of neighbouring slabs.
        turn: `(d, d)` orthogonal matrix by which rows were turned; the unit matrix if they were
            not.
        scale: of the turned rows, which are brought to the unit box.
        noisy: `(n,)` bool, rows whose linear coordinate says nothing.
    """

    blocks: tuple[int, ...]
    margin: float
    turn: Tensor
    scale: float
    noisy: Tensor

    def coordinates(self, x: Tensor) -> Tensor:
        """`(B, d)`: each row as it was drawn, in [-1, 1]."""
        return (x.double() - 0.5) / self.scale @ self.turn.T

    def rule(self, x: Tensor) -> Tensor:
        """`(B,)`: the class, by the last coordinate that is not noise."""
        last = max(i for i, k in enumerate(self.blocks) if k != NOISE)
        return slab_class(self.coordinates(x)[:, last], self.blocks[last], self.margin)


def _blocks(kind: Kind, size: int) -> tuple[int, ...]:
    first, rest = {
        "lms-5": (LINEAR, 5), "lms-7": (LINEAR, 7), "ms-57": (5, 7), "lsn": (LINEAR, NOISE),
        "slabs-5": (5, 5),
    }[kind]  # fmt: skip
    return (first, *(rest for _ in range(size - 1)))


@register("source", cites="simplicity-bias", says="Every coordinate tells the class; one simply.")
def slabs(
    n: int,
    dice: Dice,
    *,
    kind: Kind = "lms-5",
    size: Count = 20,
    margin: Annotated[float, Field(gt=0, lt=0.15)] = 0.1,
    corrupt: Share = 0.0,
    rotate: bool = False,
) -> Batches:
    """Rows of independent coordinates, the first of which tells the class more simply than others.

    Given the class, coordinates are independent, and each of them (but noise) tells it without
    error: a linear one by one cut, one of k slabs by k - 1 cuts. So a model may rely on any of
    them, and which it relies on shows its preference.

    Args:
        n: rows.
        dice: `n` of them.
        kind: `lms-5` and `lms-7` are one linear coordinate among slabs, `ms-57` one of 5 slabs
            among 7, `lsn` a linear one among noise, `slabs-5` slabs alone.
        size: coordinates.
        margin: half the distance of neighbouring slabs, in units of half the range.
        corrupt: share of rows whose linear coordinate lies in the gap and says nothing.
        rotate: turn all rows by one random orthogonal matrix.
    """
    blocks, y = _blocks(kind, size), torch.arange(n) % 2
    draws = dice.uniform((size, 3), dtype=torch.float64)
    x = 2 * draws[..., 0] - 1
    for k in sorted(set(blocks) - {NOISE}):
        here = torch.tensor([b == k for b in blocks])
        label = y[:, None].expand(n, int(here.sum()))
        x[:, here] = (
            linear_block(label, draws[:, here, 0], margin)
            if k == LINEAR
            else slab_block(label, draws[:, here], k, margin)
        )
    noisy = (dice.uniform() < corrupt) & (blocks[0] == LINEAR)
    x[:, 0] = torch.where(noisy, margin * (2 * dice.uniform(dtype=torch.float64) - 1), x[:, 0])
    turn, scale = torch.eye(size, dtype=torch.float64), 0.5
    if rotate:
        raw = torch.randn(size, size, generator=dice.generator("turn"), dtype=torch.float64)
        turn, scale = torch.linalg.qr(raw).Q, 0.5 / size**0.5
    rows = (0.5 + scale * x @ turn).clamp(0, 1).float()
    truth = Slabs(blocks, margin, turn, scale, noisy)
    return Batches(x=rows, y=y, classes=("even", "odd"), truth=truth)
