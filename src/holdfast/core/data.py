"""Rows of data: a batch, and an ordered collection of rows that yields batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError
from holdfast.ops.batch import Inputs, chunks, join, rows, select, take

UNLABELLED = -100


class Batch(NamedTuple):
    """Some rows of a data set.

    Args:
        x: inputs, rows first.
        y: labels, rows first; -100 means no label (row, token or pixel).
        index: `(B,)` int64, position of each row in the whole data set.
        group: `(B,)` int64 domain or subpopulation, or None.
        more: further tensors with the same rows (masks, depth, second views).
    """

    x: Inputs
    y: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index on purpose
    group: Tensor | None = None
    more: Mapping[str, Tensor] = {}

    def take(self, index: Tensor | slice) -> Batch:
        """A selection of the rows."""
        group = None if self.group is None else take(self.group, index)
        more = {name: take(value, index) for name, value in self.more.items()}
        return Batch(take(self.x, index), take(self.y, index), take(self.index, index), group, more)

    def select(self, rows: Tensor) -> Batch:
        """The same for positions of which none is negative, faster."""
        group = None if self.group is None else select(self.group, rows)
        more = {name: select(value, rows) for name, value in self.more.items()}
        return Batch(
            select(self.x, rows), select(self.y, rows), select(self.index, rows), group, more
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Batches:
    """A data set: rows in a fixed order, handed out in batches of a fixed size.

    Iteration is always in the same order; `draw(dice)` is one shuffled epoch. The size is part
    of the data so that resuming repeats exactly the same batches.

    Args:
        x: all inputs, rows first.
        y: all labels, rows first.
        size: rows per batch.
        index: positions in the data set that these rows come from; 0..n-1 unless said.
        group: domain or subpopulation of each row.
        more: further tensors with the same rows.
        classes: names of the classes, in the order of the labels.
        augment: applied to every batch of `draw`, never to plain iteration.
        truth: what a synthetic source knows about itself.
    """

    x: Inputs
    y: Tensor
    size: int = 128
    index: Tensor = field(default=None)  # type: ignore[assignment]  # filled below
    group: Tensor | None = None
    more: Mapping[str, Tensor] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    augment: Callable[[Batch, Dice], Batch] | None = None
    truth: Any = None

    def __post_init__(self) -> None:
        if rows(self.x) != len(self.y):
            raise ShapeError(
                f"Batches: {rows(self.x)} inputs but {len(self.y)} labels",
                fix="Give one label per row; use -100 where there is none.",
            )
        if self.index is None:
            object.__setattr__(self, "index", torch.arange(len(self.y)))

    def __len__(self) -> int:
        return len(self.y)

    @property
    def whole(self) -> Batch:
        """All rows as one batch."""
        return Batch(self.x, self.y, self.index, self.group, self.more)

    def __iter__(self) -> Iterator[Batch]:
        return (self.whole.take(part) for part in chunks(len(self), self.size))

    def draw(self, dice: Dice) -> Iterator[Batch]:
        """One epoch in an order drawn from the dice; the last batch may be smaller."""
        order = torch.randperm(len(self), generator=dice.generator("order"))
        whole = self.whole
        for number, part in enumerate(order.split(self.size) if len(order) else ()):
            batch = whole.select(part)
            if self.augment is not None:
                batch = self.augment(batch, dice.spawn(f"augment{number}").keyed(batch.index))
            yield batch

    def take(self, index: Tensor | slice) -> Batches:
        """A selection of the rows; they keep their positions in the data set."""
        chosen = self.whole.take(index)
        return replace(
            self, x=chosen.x, y=chosen.y, index=chosen.index, group=chosen.group, more=chosen.more
        )


def mix(a: Batches, b: Batches, share: float) -> Batches:
    """One stream out of two: all rows of `a` and as many of `b` as make up `share` of the whole.

    Rows of `b` repeat from their start if there are too few; they get positions behind those
    of `a`, so that no two rows share their draws.

    Args:
        a: first data set.
        b: second data set, of the same form.
        share: share of rows that come from `b`, in [0, 1).
    """
    if not 0 <= share < 1:
        raise ShapeError(f"mix: share must lie in [0, 1), got {share}", fix="Use share=0.5.")
    count = round(len(a) * share / (1 - share))
    chosen = b.whole.take(torch.arange(count) % max(len(b), 1))
    start = int(a.index.max()) + 1 if len(a) else 0
    group = None
    if a.group is not None and chosen.group is not None:
        group = torch.cat([a.group, chosen.group])
    return replace(
        a,
        x=join([a.x, chosen.x]),
        y=torch.cat([a.y, chosen.y]),
        index=torch.cat([a.index, start + torch.arange(count)]),
        group=group,
        more={k: torch.cat([v, chosen.more[k]]) for k, v in a.more.items() if k in chosen.more},
    )
