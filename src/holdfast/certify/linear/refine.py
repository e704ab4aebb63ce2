"""Boxes of values before bends, tightened by linear bounds of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from math import inf, prod

import torch
from torch import Tensor

from holdfast.certify.linear.ascent import ascend
from holdfast.certify.linear.backward import backward, evaluated
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.first import rows_of
from holdfast.certify.network.graph import Graph
from holdfast.ops.batch import chunks
from holdfast.ops.interval import Box, intersect

NUMBERS = 2**17  # float64 coefficients held at once: 1 MiB per copy, which stays in the cache


def refined(
    bounds: Bounds,
    i: int,
    shares: dict[int, Tensor] | None = None,
    steps: int = 0,
    chosen: dict[int, dict[int, Tensor]] | None = None,
    until: float = inf,
) -> Box:
    """The box of a node, tightened by backward bounds where a bend behind it would gain."""
    box = bounds.boxes[i]
    gains = torch.zeros_like(box.low, dtype=torch.bool)
    for bend in bounds.graph.behind(i):
        gains |= bend.open(box)
    open_ = gains.flatten(1)
    low, high = (end.flatten(1).clone() for end in box)
    counts = open_.sum(1)
    every: dict[int, Tensor] = {}
    if chosen is not None:
        every = chosen[i] = _default(bounds, i)
    if shares is not None:
        shares[i] = low.new_zeros(*low.shape, prod(bounds.graph.nodes[0].shape))
    for rows in _groups(counts, limit(bounds.graph) // 2):
        part = bounds.take(rows)
        most = int(counts[rows].max())
        # Rows with fewer open coordinates are filled up with others, which are then left alone.
        units = open_[rows].to(torch.int8).sort(1, descending=True).indices[:, :most]
        for few in chunks(most, max(1, limit(bounds.graph) // (2 * len(units)))):
            if time.monotonic() > until:
                break
            unit = units[:, few]
            own: dict[int, Tensor] | None = None if chosen is None else {}
            below, above, slope = _both(part, i, unit, steps, own)
            for j, slopes in (own or {}).items():
                size, m = low.shape[1], unit.shape[1]
                for k, at in enumerate((unit, unit + size)):
                    every[j][rows[:, None], at] = slopes[:, k * m : (k + 1) * m]
            if shares is not None:
                share = (
                    slope.abs() * (part.region.box.high - part.region.box.low).flatten(1)[:, None]
                )
                where = unit[:, :, None].expand(-1, -1, share.shape[2])
                shares[i][rows] = shares[i][rows].scatter(1, where, share)
            asked = open_[rows].gather(1, unit)
            for end, new in ((low, below), (high, above)):
                old = end[rows]
                end[rows] = old.scatter(1, unit, torch.where(asked, new, old.gather(1, unit)))
    return intersect(box, Box(low.reshape(box.low.shape), high.reshape(box.high.shape)))


def _default(bounds: Bounds, i: int) -> dict[int, Tensor]:
    """The slopes below each ReLU before a value, for both bounds of each of its coordinates."""
    twice = 2 * prod(bounds.graph.nodes[i].shape)
    return {
        j: planes.below[0][:, None].repeat(1, twice, *[1] * (planes.below[0].dim() - 1))
        for j, planes in bounds.planes.items()
        if bounds.graph.nodes[j].is_relu
    }


def _both(
    bounds: Bounds, i: int, unit: Tensor, steps: int, chosen: dict[int, Tensor] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Bounds of chosen coordinates `(B, m)` from below and above, and their mean slope."""
    count, most = unit.shape
    node = bounds.graph.nodes[i]
    size = prod(node.shape)
    one = torch.zeros(count, most, size, dtype=torch.float64, device=unit.device)
    one = one.scatter_(2, unit[:, :, None], 1.0).reshape(count, most, *node.shape)
    first = rows_of(bounds.graph, i, unit)
    both = torch.cat([one, -one], 1)
    first = None if first is None else torch.cat([first, -first], 1)
    if steps:
        found = ascend(bounds, i, both, steps, first=first, chosen=chosen)
        return found[:, :most], -found[:, most:], both[:, :0]
    line = backward(bounds, i, both, first=first)
    found = evaluated(bounds, line)
    slope = (line.slope[:, :most] - line.slope[:, most:]).flatten(2) / 2
    return found[:, :most], -found[:, most:], slope


def limit(graph: Graph) -> int:
    """How many coefficient rows fit into memory at once."""
    return max(2, NUMBERS // max(prod(node.shape) for node in graph.nodes))


def _groups(counts: Tensor, limit: int) -> Iterator[Tensor]:
    """Rows with open coordinates, like with like, so that `limit` coefficient rows suffice."""
    order = counts.argsort(descending=True)
    order = order[counts[order] > 0]
    while len(order):
        share = max(1, limit // int(counts[order[0]]))
        yield order[:share]
        order = order[share:]
