"""Neurons of a folded network in layers, and bounds of their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from holdfast.ops.batch import chunks
from holdfast.ops.interval import TINY, UNIT, Box, gamma, intersect
from holdfast.ops.linear import Lines, lower_on_box

NUMBERS = 2**21  # coefficients held at once
SAFE = 1 + 1e-9  # far above what sums of up to a million positive numbers lose


@dataclass(frozen=True, eq=False)
class Layer:
    """Neurons that do not feed each other.

    Args:
        rows: `(m, n + 1 + s)` coefficients of n inputs, of one, and of the s neurons before.
        error: `(m,)` how far the model's value may lie from that of its row.
        mass: `(m,)` numbers above the sums of absolute terms of the rows, and their error.
        known: `(m,)` ends of the values on the whole box.
        first: the first column of a neuron that is used.
    """

    rows: Tensor
    error: Tensor
    mass: Tensor
    known: Box
    first: int

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def width(self) -> int:
        """Where the columns of its own neurons begin."""
        return self.rows.shape[1]

    @cached_property
    def cost(self) -> Tensor:
        """`(m, 2)`: what an absolute coefficient adds to errors, and to what roundings lose."""
        return torch.stack([self.error, 4 * self.mass], 1)

    def take(self, rows: Tensor | slice) -> Layer:
        """Some of its neurons."""
        known = self.known.take(rows)
        return Layer(self.rows[rows], self.error[rows], self.mass[rows], known, self.first)

    @cached_property
    def both(self) -> Layer:
        """The neurons, and all of them with their signs turned."""
        low, high = self.known
        known = Box(torch.cat([low, -high]), torch.cat([high, -low]))
        rows = torch.cat([self.rows, -self.rows])
        return Layer(rows, self.error.repeat(2), self.mass.repeat(2), known, self.first)


def enclosed(
    layers: Sequence[Layer], lines: Sequence[Lines], layer: Layer, box: Box
) -> tuple[Box, Tensor]:
    """`(B, m)` ends of the neurons of a layer, and the mean absolute slopes `(B, m, n)`."""
    m, both = len(layer), layer.both
    values, slopes = [], []
    most = max(1, NUMBERS // (len(box.low) * both.width))
    for rows in chunks(2 * m, most):
        value, slope, _ = lower(layers, lines, both.take(rows) if most < 2 * m else both, box)
        values.append(value)
        slopes.append(slope)
    value, slope = torch.cat(values, 1), torch.cat(slopes, 1)
    known = Box(*(end.expand(len(value), -1) for end in layer.known))
    ends = intersect(known, Box(value[:, :m], -value[:, m:]))
    return ends, (slope[:, :m] - slope[:, m:]).abs() / 2


def lower(
    layers: Sequence[Layer], lines: Sequence[Lines], asked: Layer, box: Box,
    seen: list[Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Numbers below rows of a folded network on boxes.

    Neurons are replaced from the last layer to the first: where its coefficient is positive by the
    line below, else by the line above. With S a number above the sum of absolute terms, each layer
    loses at most gamma times S by rounding, for S counts all that is ever added to the terms.

    Args:
        layers: before the rows.
        lines: around each of their neurons, `(B, k)`.
        asked: the rows.
        box: `(B, n)` ends.
        seen: receives the coefficients `(B, m, k)` of each layer, the last one first.

    Returns:
        The numbers `(B, m)`, slopes `(B, m, n)` of the functions they come from, and what they
        have lost to errors.
    """
    count, n = box.low.shape
    a = asked.rows.expand(count, -1, -1).clone()
    flat, spent = a.view(-1, a.shape[2]), a.new_zeros(count, len(asked), 2)
    reached, widest = asked.first, n + 1
    for layer, line in zip(reversed(layers), reversed(lines), strict=True):
        width, first = layer.width, layer.first
        piece = a[:, :, width : width + len(layer)]
        if seen is not None:
            seen.append(piece)
        if width + len(layer) <= reached:
            continue
        down = piece.clamp(max=0)
        slope = piece * line.lower_slope[:, None]
        slope.addcmul_(down, (line.upper_slope - line.lower_slope)[:, None])
        a[:, :, n] += (down @ line.upper_offset[:, :, None]).squeeze(2)
        spent += piece.abs() @ layer.cost
        slope = slope.flatten(0, 1)
        flat[:, : n + 1].addmm_(slope, layer.rows[:, : n + 1])
        if first < width:
            flat[:, first:width].addmm_(slope, layer.rows[:, first:])
        reached, widest = min(reached, first), max(widest, len(layer))
    slope, offset = a[:, :, :n], a[:, :, n]
    error, mass = (spent[:, :, 0] + asked.error) * SAFE, (spent[:, :, 1] + asked.mass) * SAFE
    below = lower_on_box(slope, box) + offset - error
    ours = 2 * (len(layers) + 2) * gamma(widest + 32) * mass + 8 * UNIT * (below.abs() + error)
    return below - ours - TINY, slope, error
