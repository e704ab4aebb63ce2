"""Tighter boxes of values before bends: planes proposed in float32, bounds in float64."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import torch
from torch import Tensor

from holdfast.certify.linear.alive import living
from holdfast.certify.linear.ascent import ascend
from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.first import rows_of
from holdfast.certify.linear.seen import windows
from holdfast.ops.interval import Box, intersect

NUMBERS = 2**18  # float32 coefficients held at once: 1 MiB per copy, which stays in the cache
LEAST = 1e-4  # share of its gain by which a neuron's bound must rise in two moves to go on


def tightened(bounds: Bounds, steps: int) -> Bounds:
    """The same, with boxes before each bend optimised, each neuron's by its own planes.

    Layer after layer, because a tighter box gives tighter planes, whose bounds are nested in
    the looser ones: what is best for each neuron alone is best for all behind it.

    Args:
        bounds: of the whole network.
        steps: moves of the planes for each neuron.
    """
    graph, region, known = bounds.graph, bounds.region, dict(enumerate(bounds.boxes))
    for i in sorted(set(graph.bent) - (graph.exact if region.radius is None else frozenset())):
        known[i] = climbed(propagate(graph, region, "ibp", known), i, steps)
    return propagate(graph, region, "ibp", known)


def climbed(bounds: Bounds, i: int, steps: int) -> Box:
    """The box of a node, its open coordinates bounded by planes of their own."""
    box = bounds.boxes[i]
    gains = torch.zeros_like(box.low, dtype=torch.bool)
    for bend in bounds.graph.behind(i):
        gains |= bend.open(box)
    low, high = (end.flatten(1).clone() for end in box)
    for row, unit, below, above in _answers(bounds, i, gains.flatten(1), steps):
        low[row, unit] = torch.maximum(low[row, unit], below.nan_to_num(-torch.inf))
        high[row, unit] = torch.minimum(high[row, unit], above.nan_to_num(torch.inf))
    return intersect(box, Box(low.reshape(box.low.shape), high.reshape(box.high.shape)))


def _answers(
    bounds: Bounds, i: int, asked: Tensor, steps: int
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Rows, coordinates, and their bounds from below and above, in portions."""
    local = windows(bounds, i)
    if local is not None:
        row, unit = asked.nonzero(as_tuple=True)
        channels, *size = bounds.graph.nodes[i].shape
        share = max(1, NUMBERS // (2 * max(prod(n.shape) for n in local.graph.nodes)))
        for r, u in zip(row.split(share), unit.split(share), strict=True):
            part, end = local.around(r, u), local.graph.output
            channel = u // prod(size)
            one = torch.nn.functional.one_hot(channel, channels).double()
            one = one.reshape(len(r), 1, channels, *[1] * len(size))
            found = ascend(part, end, torch.cat([one, -one], 1), steps, least=LEAST)
            yield r, u, found[:, 0], -found[:, 1]
        return
    most = max(2, NUMBERS // max(prod(n.shape) for n in bounds.graph.nodes[: i + 1])) // 2
    for rows in _groups(asked.sum(1), most):
        part, count = living(bounds.take(rows), i), int(asked[rows].sum(1).amax())
        # Rows with fewer open coordinates are filled up with others, which costs nothing more.
        units = asked[rows].to(torch.int8).sort(1, descending=True).indices[:, :count]
        for unit in units.split(most, 1):
            one = torch.zeros(*unit.shape, asked.shape[1], dtype=torch.float64, device=unit.device)
            one = one.scatter_(2, unit[:, :, None], 1.0)
            one = one.reshape(*unit.shape, *bounds.graph.nodes[i].shape)
            first = rows_of(part.graph, i, unit)
            first = None if first is None else torch.cat([first, -first], 1)
            found = ascend(part, i, torch.cat([one, -one], 1), steps, first=first, least=LEAST)
            m = unit.shape[1]
            row = rows[:, None].expand_as(unit)
            yield row, unit, found[:, :m], -found[:, m:]


def _groups(counts: Tensor, limit: int) -> Iterator[Tensor]:
    """Rows with open coordinates, like with like, at most `limit` questions in each."""
    order = counts.argsort(descending=True)
    order = order[counts[order] > 0]
    while len(order):
        share = max(1, limit // int(counts[order[0]]))
        yield order[:share]
        order = order[share:]
