"""Branch and bound over few inputs, on networks that are folded again wherever they shrank."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from holdfast.certify.linear.folded import Folded
from holdfast.certify.linear.region import Region
from holdfast.certify.network.graph import Graph
from holdfast.certify.search.branch_input import LINEAR
from holdfast.certify.search.chase import Chase
from holdfast.certify.search.parts import Parts, halved
from holdfast.certify.search.refold import Found, Work, groups
from holdfast.certify.search.stack import Pace, pop
from holdfast.certify.search.unsafe import Unsafe
from holdfast.ops.interval import TINY

LEAST, MOST = 16, 1024  # parts bounded together


class FoldedSplits:
    """Halves boxes of inputs; each works on what is left of the network on a box around it.

    Sound and complete as `InputSplits`, whose choice of the input it shares. Where half of the
    neurons have a sign on a part, its halves get a network of their own.
    """

    def __init__(
        self, graph: Graph, network: Folded, unsafe: Unsafe, region: Region, deadline: float
    ) -> None:
        self.graph, self.unsafe, self.region, self.deadline = graph, unsafe, region, deadline
        values = torch.eye(len(unsafe.d), dtype=torch.float64)
        self.rows = replace(unsafe, c=values, d=torch.zeros(len(unsafe.d), dtype=torch.float64))
        self.witness: Tensor | None = None
        self.chase = Chase(graph, unsafe, region, deadline, 2 * LEAST)
        self.network, self.proof = network, None
        self.domains = 0
        self.least = torch.inf

    def run(self, most: int | None = None) -> Literal["unsat", "sat", "unknown"]:
        """Search until all parts are closed, a counterexample is found or time is up."""
        none = torch.full((1, self.unsafe.count), -torch.inf, dtype=torch.float64)
        root = Parts(self.region.box, {}, none, torch.tensor([0]))
        stack = [Work(self.network, self.network.box, [root])]
        pace = Pace(LEAST, MOST, 2 * LEAST)
        while stack:
            work = stack[-1]
            if not work.parts:
                stack.pop()
                continue
            batch = pop(work.parts, pace.size, Parts.join)
            if time.monotonic() > self.deadline or self.domains >= (most or self.domains + 1):
                return "unknown"
            pace.start()
            found = self.bounded(work.network, batch)
            if self.witness is not None:
                return "sat"
            pace.stop()
            closed = (found.parts.bound > 0).all(1)
            if bool(closed.any()):
                self.least = min(self.least, float(found.parts.bound[closed].min()))
            for rows, fresh in groups(
                self.graph, self.unsafe, work, found, (~closed).nonzero().flatten()
            ):
                order = rows[found.parts.bound[rows].amin(1).argsort(descending=True)]
                halves, cut = halved(found.parts.take(order), found.score[order])
                if not cut:
                    return "unknown"
                if fresh is None:
                    work.parts.append(halves)
                else:
                    known = fresh.network.known.take(torch.zeros(len(halves), dtype=torch.long))
                    fresh.parts.append(replace(halves, boxes={0: known}))
                    stack.append(fresh)
        return "unsat"

    def bounded(self, network: Folded, parts: Parts) -> Found:
        """Bounds of a batch."""
        self.domains += len(parts)
        box, unsafe = parts.box.flat(), self.unsafe
        seen = network.bounded(box, parts.boxes.get(0))
        value = seen.value.masked_fill(~seen.value.isfinite(), -torch.inf)
        bound = torch.maximum(unsafe.best(value), parts.bound)
        worst = bound.argmin(1)
        row = value.masked_fill(unsafe.owner != worst[:, None], -torch.inf).argmax(1)
        every = torch.arange(len(parts))
        slope = seen.slope[every, row]
        score = LINEAR * slope.abs() * (box.high - box.low)
        share = seen.shares / seen.shares.sum(2, keepdim=True).clamp(min=TINY)
        score = score + (seen.lost[every, row][:, None] @ share).squeeze(1)
        open_ = ~(bound > 0).all(1)
        corner = torch.where(slope > 0, box.low, box.high)
        points = torch.stack([((box.low + box.high) / 2)[open_], corner[open_]])
        points = points.reshape(*points.shape[:2], *parts.box.low.shape[1:])
        quick = network, self.rows
        self.witness = self.chase(parts.box.take(open_), points, self.domains, quick)
        error = seen.error[every, row]
        blurred = (value[every, row] + error > 0) & (error > seen.lost[every, row].sum(1))
        done = Parts(parts.box, {0: seen.neurons}, bound, parts.node)
        return Found(done, score, seen.neurons, blurred)
