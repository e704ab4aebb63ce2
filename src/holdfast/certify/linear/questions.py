"""Coordinates of a value to be bounded, gathered so that like rows are asked together."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.certify.linear.alive import living
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.first import rows_of
from holdfast.certify.linear.windows import View, view
from holdfast.certify.network.graph import Graph
from holdfast.ops.batch import chunks

NUMBERS = 2**17  # float64 coefficients held at once: 1 MiB per copy, which stays in the cache
ENOUGH = 256  # coefficient rows; for fewer, starting operations costs so much that twice pays


class Questions(NamedTuple):
    """Some coordinates of some rows.

    Args:
        bounds: of the rows `(N, ...)`.
        rows: `(N,)` which rows they are.
        unit: `(N, m)` coordinates, counted over the flattened row.
        start: position of the value in the graph of `bounds`.
        at: `(N, m)` coordinates as counted there.
    """

    bounds: Bounds
    rows: Tensor
    unit: Tensor
    start: int
    at: Tensor

    def coefficients(self, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor | None]:
        """`(N, m, *shape)`: one for each coordinate, and the same on its parent if at hand."""
        graph = self.bounds.graph
        shape = graph.nodes[self.start].shape
        one = torch.zeros(*self.at.shape, prod(shape), dtype=dtype, device=self.at.device)
        one = one.scatter_(2, self.at[:, :, None], 1.0).unflatten(2, shape)
        return one, rows_of(graph, self.start, self.at)

    def put(self, end: Tensor, asked: Tensor, values: Tensor) -> None:
        """Write new ends of a value into `end` `(B, n)`, where they were asked for."""
        place = (self.rows[:, None], self.unit)
        end[place] = torch.where(asked[place], values, end[place])


def limit(graph: Graph) -> int:
    """How many coefficient rows fit into memory at once."""
    rows = NUMBERS // max(prod(node.shape) for node in graph.nodes)
    return max(2, rows, min(2 * rows, ENOUGH))


def questions(
    bounds: Bounds,
    i: int,
    asked: Tensor,
    sides: float,
    *,
    places: bool = False,
    alive: bool = False,
) -> Iterator[Questions]:
    """All coordinates that are asked about, in portions.

    Args:
        bounds: what is known of the nodes up to `i`.
        i: position of the value.
        asked: `(B, n)` bool.
        sides: coefficient rows in float64 per coordinate.
        places: whether to look at places of images one by one where that is less work; the
            answers are then functions of windows of the input.
        alive: whether to leave out neurons that are always off; the answers then say nothing of
            them.
    """
    seen = view(bounds, i) if places else None
    most = max(1, int(limit(bounds.graph if seen is None else seen.graph) / sides))
    if seen is None:
        for rows, units in _groups(asked, most):
            part = bounds.take(rows if len(rows) > 1 else slice(int(rows), int(rows) + 1))
            part = living(part, i) if alive else part
            for few in chunks(units.shape[1], max(1, most // len(units))):
                yield Questions(part, rows, units[:, few], i, units[:, few])
        return
    behind = seen.behind(bounds)
    for site in sites(seen, asked, most):
        row, column = site.place // seen.places[1], site.place % seen.places[1]
        part = behind.take((site.rows, row, column))
        yield Questions(part, site.rows, site.unit, seen.graph.output, site.at)


class Sites(NamedTuple):
    """Some channels at some places of images.

    Args:
        rows: `(N,)` which rows the images are.
        place: `(N,)` places, counted over the flattened image.
        at: `(N, m)` channels.
        unit: `(N, m)` the same as coordinates, counted over the flattened row.
    """

    rows: Tensor
    place: Tensor
    at: Tensor
    unit: Tensor


def sites(seen: View, asked: Tensor, most: int) -> Iterator[Sites]:
    """All coordinates `(B, n)` of images that are asked about, place by place."""
    size = prod(seen.places)
    every = asked.unflatten(1, (-1, size)).transpose(1, 2).flatten(0, 1)
    for some, at in _groups(every, most):
        place = some % size
        yield Sites(some // size, place, at, at * size + place[:, None])


def _groups(asked: Tensor, limit: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows with something asked, like with like, so that `limit` coefficient rows suffice.

    Rows with fewer coordinates are filled up with others, which are then left alone.
    """
    counts = asked.sum(1)
    order = counts.argsort(descending=True)
    order = order[counts[order] > 0]
    while len(order):
        most = int(counts[order[0]])
        rows, order = order.tensor_split([max(1, limit // most)])
        yield rows, asked[rows].to(torch.int8).sort(1, descending=True).indices[:, :most]
