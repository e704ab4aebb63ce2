"""Branch and bound over the box of inputs, for networks with few of them."""

from __future__ import annotations

import time
from typing import Literal

import torch
from torch import Tensor

from holdfast.certify.linear.backward import backward, evaluated
from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.coefficients import Bounds, Linear
from holdfast.certify.linear.region import Region, through
from holdfast.certify.network.graph import Graph
from holdfast.certify.properties.proofs import Proof
from holdfast.certify.search.chase import Chase
from holdfast.certify.search.parts import Parts, halved
from holdfast.certify.search.stack import Pace, pop
from holdfast.certify.search.unsafe import Unsafe
from holdfast.ops.interval import TINY, UNIT

LEAST, MOST = 32, 1024  # parts bounded together
LINEAR = 0.3  # weight of the linear part of a bound in the choice of the input


class InputSplits:
    """Halves boxes along the input whose share in the bound is largest: |slope| times width.

    A part that is open is halved; the halves start from the boxes of the whole, so that only
    neurons that are open there are bounded anew. Parts are taken last in, first out, the worst
    of a batch first.
    """

    def __init__(
        self, graph: Graph, unsafe: Unsafe, region: Region, deadline: float, record: bool
    ) -> None:
        self.graph, self.unsafe, self.deadline = graph, unsafe, deadline
        self.region = region
        self.chase = Chase(through(graph, region), unsafe, region, deadline, LEAST)
        self.witness: Tensor | None = None
        self.proof = Proof(sum(n.is_relu for n in graph.nodes)) if record else None
        self.domains = 0
        self.least = torch.inf
        self.slopes: dict[int, Tensor] = {}

    def run(self, most: int | None = None) -> Literal["unsat", "sat", "unknown"]:
        """Search until all parts are closed, a counterexample is found or time is up."""
        none = torch.full((1, self.unsafe.count), -torch.inf, dtype=torch.float64)
        root = 0 if self.proof is None else self.proof.root(*self.region.box)
        stack = [Parts(self.region.box, {}, none, torch.tensor([root]))]
        pace = Pace(LEAST, MOST, 2 * LEAST)
        while stack:
            batch = pop(stack, pace.size, Parts.join)
            if time.monotonic() > self.deadline or self.domains >= (most or self.domains + 1):
                return "unknown"
            pace.start()
            found, score = self.bounded(batch)
            if self.witness is not None:
                return "sat"
            pace.stop()
            closed = (found.bound > 0).all(1)
            if bool(closed.any()):
                self.least = min(self.least, float(found.bound[closed].min()))
            rows = (~closed).nonzero().flatten()
            if not len(rows):
                continue
            rows = rows[found.bound[rows].amin(1).argsort(descending=True)]
            halves, cut = halved(found.take(rows), score[rows], self.proof)
            if not cut:
                return "unknown"
            stack.append(halves)
        return "unsat"

    def bounded(self, parts: Parts) -> tuple[Parts, Tensor]:
        """Bounds of a batch, and `(N, n)` slopes of the worst row of each part."""
        self.domains += len(parts)
        centre = (parts.box.low + parts.box.high) / 2
        region = self.region.part(parts.box)
        shares: dict[int, Tensor] = {}
        seen: dict[int, Tensor] = {}
        bounds = propagate(self.graph, region, "crown", parts.boxes, shares)
        unsafe = self.unsafe
        value, line = self.values(bounds, seen)
        if self.proof is not None:
            self.afresh(parts, value)
        bound = torch.maximum(unsafe.best(value), parts.bound)
        bound = bound.masked_fill(region.empty()[:, None], torch.inf)
        self.noted(parts, value)
        boxes = {i: bounds.boxes[i] for i in self.graph.bent}
        # The worst alternative, and of its rows the one that comes nearest to refuting it.
        worst = bound.argmin(1)
        row = value.masked_fill(unsafe.owner != worst[:, None], -torch.inf).argmax(1)
        every = torch.arange(len(parts))
        slope = line.slope[every, row]
        score = self.scores(bounds, shares, {i: a[every, row] for i, a in seen.items()}, slope)
        corner = torch.where(slope > 0, parts.box.low, parts.box.high)
        open_ = ~(bound > 0).all(1)
        points = torch.stack([centre[open_], corner[open_]])
        self.witness = self.chase(parts.box.take(open_), points, self.domains)
        return Parts(parts.box, boxes, bound, parts.node), score

    def values(
        self, bounds: Bounds, seen: dict[int, Tensor] | None = None
    ) -> tuple[Tensor, Linear]:
        """`(N, M)` numbers below each row of the alternatives, and the functions they come from."""
        a = self.unsafe.c.expand(len(bounds.overflow), -1, -1)
        line = backward(bounds, self.graph.output, a, seen=seen)
        below, d = evaluated(bounds, line), self.unsafe.d
        value = below - d - 4 * UNIT * (below.abs() + d.abs())
        unknown = ~value.isfinite() | bounds.overflow[:, None]
        return value.masked_fill(unknown, -torch.inf), line

    def afresh(self, parts: Parts, value: Tensor) -> None:
        """Where a part closes, take the values that a checker finds who starts from its box alone.

        Planes depend on boxes, so that the bounds of the whole, kept, may be better.
        """
        rows = (value > 0).any(1).nonzero().flatten()
        if len(rows):
            box = parts.box.take(rows)
            alone = propagate(self.graph, Region(box, (box.low + box.high) / 2), "crown")
            value[rows] = torch.minimum(value[rows], self.values(alone)[0])

    def noted(self, parts: Parts, value: Tensor) -> None:
        """Record alternatives that are refuted by rows of these values, and were not before."""
        if self.proof is None:
            return
        fresh = (self.unsafe.best(value) > 0) & ~(parts.bound > 0)
        for k in fresh.any(1).nonzero().flatten().tolist():
            node = int(parts.node[k])
            held = self.proof.bounds(node)
            for j in fresh[k].nonzero().flatten().tolist():
                rows = value[k, self.unsafe.rows(j)]
                one = torch.zeros_like(rows)
                one[int(rows.argmax())] = 1.0
                self.proof.refute(node, j, held, multipliers=one)

    def scores(
        self, bounds: Bounds, shares: dict[int, Tensor], seen: dict[int, Tensor], slope: Tensor
    ) -> Tensor:
        """`(N, n)`: how much of the looseness of a bound each input answers for.

        Between its planes a bend loses their distance, times its coefficient in the bound. The
        distance shrinks with the width of what goes into the bend, to which the inputs
        contribute as the slopes of its own bounds say.
        """
        box = bounds.region.box.flat()
        width = box.high - box.low
        score = LINEAR * slope.flatten(1).abs() * width
        for i, a in seen.items():
            planes, parents = bounds.planes[i], self.graph.nodes[i].parents
            middle = [(bounds.boxes[p].low + bounds.boxes[p].high) / 2 for p in parents]
            gap = planes.above_offset - planes.below_offset
            for m, above, below in zip(middle, planes.above, planes.below, strict=True):
                gap = gap + (above - below) * m
            lost = (gap * a).abs().flatten(1)
            for p in parents:
                share = shares[p] if p in shares else self.first(p) * width[:, None]
                total = share.sum(2, keepdim=True).clamp(min=TINY)
                score = score + (lost[:, None] @ (share / total)).squeeze(1)
        return score

    def first(self, i: int) -> Tensor:
        """`(n, inputs)` absolute slopes of a value that is affine in the input."""
        if i not in self.slopes:
            x = self.region.centre
            part = Graph(self.graph.nodes[: i + 1], i)
            with torch.enable_grad():
                found = torch.autograd.functional.jacobian(lambda v: part(v)[0].flatten(), x)
            self.slopes[i] = found.flatten(1).abs()
        return self.slopes[i]
