"""Branch and bound over the signs of what goes into ReLUs, with multipliers for the splits."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from holdfast.certify.linear.backward import backward, evaluated
from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.region import Region
from holdfast.certify.network.graph import Graph
from holdfast.certify.properties.proofs import Proof
from holdfast.certify.search.branching import divided
from holdfast.certify.search.signs import Signed
from holdfast.certify.search.splits import Splits
from holdfast.certify.search.unsafe import Unsafe, probe
from holdfast.ops.interval import Box

LEAST, MOST, PACE = 16, 256, 0.25  # parts bounded together, and seconds that they may take
ROOT_STEPS, FIRST_STEPS, STEPS = 8, 40, 10  # evaluations: of each neuron, of the root, of a part
ROOT_SHARE = 0.2  # of the time, at most, for the bounds of neurons
CANDIDATES = 3  # neurons that are tried before one is split


class ReluSplits:
    """Splits a neuron whose sign is open into the cases "not positive" and "not negative".

    In each case its ReLU is linear, and the condition itself enters the bound with a multiplier
    that is optimised together with the slopes (beta-CROWN). The bounds of neurons are those of
    the whole box, optimised once, cut at zero by the splits. The neuron is the one that helps
    most of a few whose planes lose most.
    """

    def __init__(
        self, graph: Graph, unsafe: Unsafe, low: Tensor, high: Tensor, deadline: float, record: bool
    ) -> None:
        self.graph, self.unsafe, self.deadline = graph, unsafe, deadline
        self.box = Box(low[None].double(), high[None].double())
        self.witness: Tensor | None = None
        self.relus = [(i, n.parents[0]) for i, n in enumerate(graph.nodes) if n.is_relu]
        self.proof = Proof(len(self.relus)) if record else None
        self.sets: dict[int, tuple[int, int]] = {}  # root and bound set of each alternative
        self.domains = 0
        self.record = record
        self.stuck = False
        self.least = torch.inf

    def run(self, most: int | None = None) -> Literal["unsat", "sat", "unknown"]:
        """Search until all parts are closed, a counterexample is found or time is up."""
        splits = self.rooted()
        stack = [splits] if splits is not None and len(splits) else []
        if splits is None:
            return "unknown"
        size, first = LEAST, True
        while stack:
            batch, stack = _pop(stack, size)
            if time.monotonic() > self.deadline or self.domains >= (most or self.domains + 1):
                return "unknown"
            began = time.monotonic()
            open_ = self.signed.improve(batch, FIRST_STEPS if first else STEPS, self.deadline)
            self.domains += len(batch)
            if self.tried(batch, open_):
                return "sat"
            if bool(open_.any()):
                open_ &= ~self.settled(batch, open_)
                if self.witness is not None:
                    return "sat"
                if self.stuck:
                    return "unknown"
            self.closed(batch, ~open_)
            if bool(open_.any()):
                stack.append(divided(self.signed, batch.take(open_), CANDIDATES, self.proof))
            size = paced(size, time.monotonic() - began)
            first = False
        return "unsat"

    def rooted(self) -> Splits | None:
        """The alternatives that the bounds of the whole box leave open, as parts to search."""
        low, high = self.box
        region = Region(self.box, (low + high) / 2)
        bounds = propagate(self.graph, region, "crown", until=self.deadline)
        rows = self.values(bounds)
        chosen: dict[int, dict[int, Tensor]] = {}
        self.noted(rows[0] > 0, bounds, chosen)
        if not bool((rows > 0).all()):
            known = dict(enumerate(bounds.boxes))
            keep = chosen if self.record else None
            now = time.monotonic()
            bounds = propagate(
                self.graph, region, "crown", known, steps=ROOT_STEPS, chosen=keep,
                until=now + ROOT_SHARE * max(0.0, self.deadline - now),
            )  # fmt: skip
            before, rows = rows, torch.maximum(rows, self.values(bounds))
            self.noted((rows > 0)[0] & ~(before > 0)[0], bounds, chosen)
        if bool(bounds.overflow.any()):
            return None
        self.least = min([torch.inf, *rows[0][rows[0] > 0].tolist()])
        self.signed = Signed(self.graph, bounds, self.unsafe)
        still = (rows[0] <= 0).nonzero().flatten()
        order = still[rows[0][still].argsort(descending=True)]
        parts = self.signed.whole(order, rows[0][order])
        if self.proof is None or not len(parts):
            return parts
        for j in order.tolist():
            self.sets[j] = self.based(chosen)
        return replace(parts, node=torch.tensor([self.sets[j][0] for j in order.tolist()]))

    # What a checker needs.

    def based(self, chosen: dict[int, dict[int, Tensor]]) -> tuple[int, int]:
        """A new tree over the box and a bound set at its root."""
        if self.proof is None:
            return 0, 0
        layers = {p: k for k, p in enumerate(p for _, p in self.relus)}
        order = {i: k for k, (i, _) in enumerate(self.relus)}
        slopes = {layers[p]: {order[i]: v[0] for i, v in own.items() if i in order}
                  for p, own in chosen.items() if p in layers}  # fmt: skip
        root = self.proof.root(self.box.low, self.box.high)
        return root, self.proof.bounds(root, slopes=slopes)

    def noted(self, which: Tensor, bounds: Bounds, chosen: dict[int, dict[int, Tensor]]) -> None:
        """Record alternatives that the bounds of the whole box refute."""
        if self.proof is None or not bool(which.any()):
            return
        root, held = self.based(chosen)
        line = backward(bounds, self.graph.output, self.unsafe.c[None])
        value = (evaluated(bounds, line) - self.unsafe.d)[0]
        for j in which.nonzero().flatten().tolist():
            rows = value[self.unsafe.rows(j)]
            one = torch.zeros_like(rows)
            one[int(rows.argmax())] = 1.0
            self.proof.refute(root, j, held, multipliers=one)

    def closed(self, batch: Splits, rows: Tensor) -> None:
        """Take note of parts that are proved."""
        if not bool(rows.any()):
            return
        done = batch.take(rows)
        self.least = min(self.least, float(done.bound.min()))
        if self.proof is None:
            return
        share = self.signed.share(done)
        for k in range(len(done)):
            j = int(done.which[k])
            betas: dict[tuple[int, int], float] = {}
            for layer, (_, p) in enumerate(self.relus):
                beta = (done.betas[p][k, 0] * done.signs[p][k].abs()).flatten()
                betas |= {(layer, int(e)): float(beta[e]) for e in beta.nonzero().flatten()}
            slopes = {n: done.slopes[i][k, 0].flatten() for n, (i, _) in enumerate(self.relus)}
            self.proof.refute(
                int(done.node[k]), j, self.sets[j][1], slopes=slopes, betas=betas,
                multipliers=share[k, 0, : len(self.unsafe.rows(j))],
            )  # fmt: skip

    def values(self, bounds: Bounds) -> Tensor:
        """`(1, J)`: numbers below the margin of each alternative."""
        line = backward(bounds, self.graph.output, self.unsafe.c[None])
        found = evaluated(bounds, line) - self.unsafe.d
        found = found - 1e-15 * (found.abs() + 2 * self.unsafe.d.abs())
        return self.unsafe.best(found.nan_to_num(-torch.inf, -torch.inf, -torch.inf))

    def settled(self, batch: Splits, open_: Tensor) -> Tensor:
        """`(N,)` bool: open parts without an open sign that a linear program closes."""
        done = torch.zeros_like(open_)
        for row in (open_ & self.signed.whole_known(batch)).nonzero().flatten().tolist():
            done[row], x = self.signed.settle(batch, row)
            if not done[row]:
                self.witness = probe(self.graph, self.unsafe, x[None]).witness
                self.stuck = True
                break
        return done

    def tried(self, batch: Splits, open_: Tensor) -> bool:
        """Whether the input at which the bound of an open part is least is a counterexample."""
        slope = self.signed.slope
        if slope is None or not bool(open_.any()):
            return False
        points = torch.where(slope[open_] > 0, self.box.low, self.box.high)
        self.witness = probe(self.graph, self.unsafe, points).witness
        return self.witness is not None


def paced(size: int, seconds: float) -> int:
    """How many parts to take next, after so many took so long."""
    if seconds < PACE:
        return min(MOST, 2 * size)
    return max(LEAST, size // 2) if seconds > 2 * PACE else size


def _pop(stack: list[Splits], size: int) -> tuple[Splits, list[Splits]]:
    """The last `size` parts, and the rest."""
    taken: list[Splits] = []
    while stack and size > 0:
        last = stack.pop()
        cut = max(0, len(last) - size)
        taken.append(last.take(slice(cut, None)))
        size -= len(taken[-1])
        if cut:
            stack.append(last.take(slice(0, cut)))
    return (taken[0] if len(taken) == 1 else Splits.join(taken)), stack
