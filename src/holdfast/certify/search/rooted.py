"""The whole region of a search over the signs of neurons: what is known of it to begin with."""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch import Tensor

from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.refine import Slopes
from holdfast.certify.linear.region import Region, through
from holdfast.certify.network.graph import Graph
from holdfast.certify.search.dense import dense, lively, sides
from holdfast.certify.search.firm import firmed
from holdfast.certify.search.neurons import strengthened
from holdfast.certify.search.pairs import margins
from holdfast.certify.search.signs import Signed
from holdfast.certify.search.splits import Splits
from holdfast.certify.search.tree import Tree
from holdfast.certify.search.unsafe import Unsafe

ROOT_STEPS, ROOT_SHARE = 8, 0.2  # evaluations for each neuron; of the time, at most, for them all
EACH = 0.45  # of what time is left, for neurons one by one


class Rooted:
    """Bounds the region of a search as a whole.

    Args:
        graph: the network.
        unsafe: the alternatives.
        region: the inputs.
        deadline: of `time.monotonic()`.
        record: whether to keep what a checker needs.
    """

    signed: Signed

    def __init__(
        self, graph: Graph, unsafe: Unsafe, region: Region, deadline: float, record: bool
    ) -> None:
        self.graph, self.unsafe, self.deadline = graph, unsafe, deadline
        self.region, self.network = region, through(graph, region)
        self.witness: Tensor | None = None
        self.tree = Tree(graph, unsafe, region.box) if record else None
        self.proof = None if self.tree is None else self.tree.proof
        self.domains = 0
        self.stuck = False
        self.least = torch.inf

    def rooted(self) -> Splits | None:
        """The whole region, with what its bounds say about the alternatives."""
        region = self.region
        bounds = propagate(self.graph, region, "crown", until=self.deadline)
        rows, renew = margins(bounds, self.unsafe), self.tree is None and dense(self.graph)
        chosen: dict[int, dict[int, Tensor]] = {}
        if self.tree is not None:
            self.tree.at_root(rows[0] > 0, bounds, chosen)
        if not bool((rows > 0).all()):
            known, now = dict(enumerate(bounds.boxes)), time.monotonic()
            bounds = propagate(
                self.graph, region, "crown", known, steps=ROOT_STEPS,
                chosen=chosen if self.tree is not None or renew else None,
                until=now + ROOT_SHARE * max(0.0, self.deadline - now),
            )  # fmt: skip
            before, rows = rows, torch.maximum(rows, margins(bounds, self.unsafe))
            if self.tree is not None:
                self.tree.at_root((rows > 0)[0] & ~(before > 0)[0], bounds, chosen)
        if bool(bounds.overflow.any()):
            return None
        parts = self.begun(bounds, sides(chosen) if renew else None, rows)
        if self.tree is None or not bool(parts.open.any()):
            return parts
        return replace(parts, node=torch.tensor([self.tree.based(chosen)]))

    def begun(self, bounds: Bounds, slopes: dict[int, Slopes] | None, rows: Tensor) -> Splits:
        """The whole region; where slopes are given, without neurons that never fire."""
        if slopes is not None:
            bounds, slopes = lively(bounds, slopes)
        renew = slopes is not None
        self.signed = Signed(bounds.graph, bounds, self.unsafe, renew=renew, slopes=slopes)
        return self.signed.whole(rows)

    def strengthened(self, rows: Tensor) -> Splits:
        """The whole region, after every open neuron has been bounded on its own.

        In dense layers that is a branch and bound, elsewhere planes above the first neurons.
        """
        now, signed = time.monotonic(), self.signed
        until = now + EACH * (self.deadline - now)
        if signed.renew:
            bounds, slopes = strengthened(signed.root, signed.slopes or {}, until)
        else:
            bounds, slopes = firmed(signed.root, signed.relus, until), {}
        rows = torch.maximum(rows, margins(bounds, self.unsafe))
        return self.begun(bounds, slopes if signed.renew else None, rows)
