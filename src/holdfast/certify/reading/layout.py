"""Where the rows of a batch stand in a tensor: in front, behind other axes, or folded into one.

Recurrent networks and attention carry rows in the second axis or mixed with positions and heads.
A node of the graph always has its rows first; the layout says how the model's tensor is turned
into that form.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """The rows are one digit of one axis, whose length is `outer * rows * inner`.

    Args:
        axis: which.
        outer: length of what counts slower than the rows.
        inner: length of what counts faster.
    """

    axis: int = 0
    outer: int = 1
    inner: int = 1

    @property
    def first(self) -> bool:
        """Whether the rows are the first axis, alone."""
        return self == ROWS_FIRST

    def shape(self, shape: Shape) -> Shape:
        """The shape of one row of a tensor: what else is in the axis of rows stays where it was.

        Only where rows are the first axis, alone, that axis goes away. One number is an axis of
        length one.
        """
        if self.first:
            return shape[1:] or (1,)
        return (*shape[: self.axis], self.outer * self.inner, *shape[self.axis + 1 :])

    def turned(self, t: Tensor, rows: int) -> Tensor:
        """The tensor with its rows first: `(rows, *self.shape(t.shape))`."""
        before, after = t.shape[: self.axis], t.shape[self.axis + 1 :]
        split = t.reshape(*before, self.outer, rows, self.inner, *after)
        moved = split.movedim(self.axis + 1, 0)
        return moved.reshape(rows, *self.shape(tuple(t.shape)))

    def place(self, dim: int, axes: int) -> int:
        """Which axis of the turned tensor an axis of the tensor is; its own axis of rows too."""
        dim %= axes
        return dim if self.first else dim + 1


ROWS_FIRST = Layout()


@dataclass(frozen=True)
class Placed:
    """A tensor of the model as a value of the graph.

    Args:
        node: position of the value.
        layout: where its rows stand.
        shape: of the tensor, all axes.
    """

    node: int
    layout: Layout
    shape: Shape

    @property
    def size(self) -> int:
        """Numbers in one row."""
        return prod(self.layout.shape(self.shape))


def tags(placed: Placed, rows: int, first: int) -> Tensor:
    """For each number of a tensor: `first` plus its position in its row, times rows, plus its row.

    Integers as float64, shaped like the tensor, so that any operation that only moves numbers
    shows where each of them went.
    """
    shape = placed.layout.shape(placed.shape)
    places = first + torch.arange(placed.size, dtype=torch.float64).reshape(1, *shape)
    row = torch.arange(rows, dtype=torch.float64).reshape(rows, *[1] * len(shape))
    turned = places * rows + row
    before, after = placed.shape[: placed.layout.axis], placed.shape[placed.layout.axis + 1 :]
    layout = placed.layout
    parts = turned.reshape(rows, *before, layout.outer, layout.inner, *after)
    return parts.movedim(0, layout.axis + 1).reshape(placed.shape)


def layout_of(row: Tensor, rows: int) -> Layout | None:
    """The layout of a tensor whose entries say which row they belong to; None if none fits.

    Args:
        row: -1 where an entry belongs to none.
        rows: how many there are.
    """
    for axis, length in enumerate(row.shape):
        if length % rows:
            continue
        rest = length // rows
        for inner in [d for d in range(rest, 0, -1) if rest % d == 0]:
            expected = (torch.arange(length) // inner) % rows
            view = expected.reshape(-1, *[1] * (row.dim() - axis - 1))
            if bool(((row == view) | (row < 0)).all()):
                return Layout(axis, rest // inner, inner)
    return None
