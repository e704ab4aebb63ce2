"""Bounds of single neurons by branch and bound: what one linear bound cannot say of a value."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.refine import Slopes, refined
from holdfast.certify.network.graph import Graph
from holdfast.certify.search.branching import halves_of, largest, lost
from holdfast.certify.search.climb import Climb
from holdfast.certify.search.dense import sides
from holdfast.certify.search.pairs import Pairs
from holdfast.certify.search.signs import Signed
from holdfast.certify.search.splits import Splits
from holdfast.certify.search.unsafe import Unsafe
from holdfast.ops.interval import Box, intersect

ASCENT = 8  # moves of the slopes for each neuron before anything is split
STEPS = 6  # evaluations of each part
LEAVES = 64  # parts of the region that one end of a neuron may be bounded on
MOST = 2**26  # slopes in all, of values that are bounded so
NUMBERS = 2**21  # coefficients held at once, of all values


@dataclass(eq=False)
class Leaves:
    """Parts of the region, each of which bounds one end of one neuron.

    Args:
        parts: with one alternative each.
        which: `(N,)` the end.
    """

    parts: Splits
    which: Tensor

    def take(self, rows: Tensor) -> Leaves:
        return Leaves(self.parts.take(rows), self.which[rows])

    @staticmethod
    def join(every: list[Leaves]) -> Leaves:
        return Leaves(
            Splits.join([one.parts for one in every]), torch.cat([one.which for one in every])
        )


class Ends:
    """Lower ends of some neurons of a value and of their negatives, each on parts of its own.

    The parts of an end cover the region: neurons before the value are halved at zero, one of the
    worst part of each end at a time. What holds on every part holds on the region.

    Args:
        bounds: of one row.
        p: position of the value.
        unit: `(m,)` neurons.
        slopes: below the ReLUs before it, for both ends of each coordinate.
    """

    def __init__(self, bounds: Bounds, p: int, unit: Tensor, slopes: Slopes) -> None:
        size, m = bounds.boxes[p].low.numel(), len(unit)
        c = torch.zeros(2 * m, size, dtype=torch.float64)
        c[torch.arange(m), unit], c[torch.arange(m) + m, unit] = 1.0, -1.0
        none = torch.zeros(2 * m, dtype=torch.float64)
        unsafe = Unsafe(c, none, torch.arange(2 * m), 2 * m)
        graph = Graph(bounds.graph.nodes[: p + 1], p)
        self.signed = Signed(graph, replace(bounds, graph=graph), unsafe, renew=False)
        whole = self.signed.whole(none[None])

        def wide(every: dict[int, Tensor]) -> dict[int, Tensor]:
            return {q: v.expand(2 * m, *v.shape[1:]) for q, v in every.items()}

        low, high = (end.flatten()[unit] for end in bounds.boxes[p])
        parts = Splits(
            torch.cat([low, -high])[:, None], torch.zeros(2 * m, 1, 1, dtype=torch.float64),
            wide(whole.signs), wide(whole.low), wide(whole.high),
            {i: torch.cat([side[unit] for side in slopes[i]])[:, None] for i in whole.slopes},
            {q: v[0][:, None] for q, v in whole.betas.items()},
            none.long(), {}, none.long(), none.long(), {}, {}, none[:, None],
        )  # fmt: skip
        self.leaves = Leaves(parts, torch.arange(2 * m))
        self.count = 2 * m

    def least(self) -> Tensor:
        """`(2 m,)`: the ends that hold on all parts."""
        start = torch.full((self.count,), torch.inf, dtype=torch.float64)
        return start.scatter_reduce(0, self.leaves.which, self.leaves.parts.bound[:, 0], "amin")

    def worst(self) -> Tensor:
        """Of each end that is not done, the part with the least bound."""
        least = self.least()
        bound, which = self.leaves.parts.bound[:, 0], self.leaves.which
        counts = torch.bincount(which, minlength=self.count)
        wanted = (bound <= least[which]) & (least[which] <= 0) & (counts[which] < LEAVES)
        wanted &= ~self.signed.whole_known(self.leaves.parts)
        rows = wanted.nonzero().flatten()
        first = torch.full((self.count,), len(bound)).scatter_reduce(0, which[rows], rows, "amin")
        return first[first < len(bound)]

    def step(self) -> bool:
        """Halve the worst part of each end; whether there was anything to halve."""
        rows = self.worst()
        if not len(rows):
            return False
        rest = torch.ones(len(self.leaves.which), dtype=torch.bool)
        rest[rows] = False
        size = sum(prod(node.shape) for node in self.signed.graph.nodes)
        some = rows.split(max(1, NUMBERS // (2 * size)))
        new = [self.halved(self.leaves.take(few)) for few in some]
        self.leaves = Leaves.join([self.leaves.take(rest.nonzero().flatten()), *new])
        return True

    def halved(self, some: Leaves) -> Leaves:
        """The halves of parts, by the neuron that loses most, both bounded."""
        seen: dict[int, Tensor] = {}
        self.pairs(some).line(seen)
        scores = lost(self.signed, some.parts, seen)
        index = largest(scores, 1)[:, 0]
        halves = Leaves(halves_of(self.signed, some.parts, index), some.which.repeat(2))
        self.bounded(halves)
        return halves

    def pairs(self, some: Leaves) -> Pairs:
        """What bounds the parts; what is free in it is that of the parts."""
        parts, signed = some.parts, self.signed
        return Pairs(
            signed.bounds(parts, torch.arange(len(parts))), signed.mixtures, signed.relus,
            some.which, {q: v[:, None] for q, v in parts.signs.items()},
            dict(parts.slopes), dict(parts.betas), parts.mix, parts.slack,
        )  # fmt: skip

    def bounded(self, some: Leaves) -> None:
        """Bound parts with what is free in them improved in place."""
        pairs = self.pairs(some)
        Climb(pairs, self.signed.scale).run(STEPS, lambda seen: bool((seen > 0).all()))
        found = pairs.below(*pairs.line()).nan_to_num(-torch.inf, torch.inf, -torch.inf)
        some.parts.bound.copy_(torch.maximum(some.parts.bound, found))


def strengthened(
    bounds: Bounds, slopes: dict[int, Slopes], until: float
) -> tuple[Bounds, dict[int, Slopes]]:
    """Bounds of one row, each open neuron bounded on parts of its own, layer by layer.

    Args:
        bounds: of a network.
        slopes: for values, those below the ReLUs before them.
        until: of `time.monotonic()`; layers share what is left of the time alike.

    Returns:
        The bounds, and the slopes of those that were optimised anew.
    """
    graph, region, found = bounds.graph, bounds.region, dict(slopes)
    boxes = dict(enumerate(bounds.boxes))
    later = [p for p in dict.fromkeys(n.parents[0] for n in graph.nodes if n.is_relu)
             if 0 < _size(graph, p) <= MOST]  # fmt: skip
    for k, p in enumerate(later):
        known, now = propagate(graph, region, "ibp", boxes), time.monotonic()
        chosen: dict[int, dict[int, Tensor]] = {}
        known.boxes[p] = refined(known, p, steps=ASCENT, chosen=chosen, until=until)
        found[p] = {i: v for i, v in sides(chosen)[p].items() if i < p}
        boxes[p] = known.boxes[p] = parted(
            known, p, found[p], now + (until - now) / (len(later) - k)
        )
    return propagate(graph, region, "ibp", boxes), found


def _size(graph: Graph, p: int) -> int:
    """How many slopes belong to the bounds of a value."""
    before = sum(prod(node.shape) for node in graph.nodes[:p] if node.is_relu)
    return 2 * prod(graph.nodes[p].shape) * before


def parted(bounds: Bounds, p: int, slopes: Slopes, until: float) -> Box:
    """The box of a value, its open coordinates bounded on parts of their own."""
    box = bounds.boxes[p]
    unit = ((box.low < 0) & (box.high > 0)).flatten().nonzero().flatten()
    if not len(unit):
        return box
    ends = Ends(bounds, p, unit, slopes)
    while time.monotonic() < until and ends.step():
        pass
    low, high = (end.flatten(1).clone() for end in box)
    low[0, unit], high[0, unit] = ends.least()[: len(unit)], -ends.least()[len(unit) :]
    return intersect(box, Box(low.reshape(box.low.shape), high.reshape(box.high.shape)))
