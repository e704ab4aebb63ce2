"""Branch and bound: divides the inputs until each part is proved or a counterexample is found."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor

from holdfast.certify.linear.expressions import folded
from holdfast.certify.linear.region import Region, through
from holdfast.certify.linear.written import covered, large
from holdfast.certify.network.graph import Graph
from holdfast.certify.network.simplify import simplified
from holdfast.certify.search.branch_fold import FoldedSplits
from holdfast.certify.search.branch_input import InputSplits
from holdfast.certify.search.branch_relu import ReluSplits
from holdfast.certify.search.unsafe import Disjuncts, Unsafe
from holdfast.certify.search.witness import seek
from holdfast.ops.interval import Box

Answer = Literal["unsat", "sat", "unknown"]
FEW = 20  # inputs up to which dividing the box of inputs is the better way
SAMPLES, BATCHES = 2**17, 16  # random points at most, and batches of them
NUMBERS = 2**21  # values of all nodes held at once when points are tried
STARTS, STEPS = 64, 40  # descents from the best of them, and how far they go


@dataclass(frozen=True, eq=False)
class Decision:
    """What a search has shown.

    Args:
        answer: `unsat`: no input of the box reaches an alternative; `sat`: the witness does, as
            the graph computes it in float64; `unknown`: time was up, or nothing is left to split.
        witness: an input, or None.
        proof: what a checker needs, or None.
        domains: how many parts were bounded.
        seconds: wall clock.
        least: where `unsat`, a positive number that the margin `max(C z - d)` of each alternative
            stays above.
    """

    answer: Answer
    witness: Tensor | None
    proof: Any
    domains: int
    seconds: float
    least: float = 0.0


def prove(
    graph: Graph,
    low: Tensor,
    high: Tensor,
    disjuncts: Disjuncts,
    *,
    deadline: float,
    record: bool = False,
    attack: bool = True,
    most: int | None = None,
    signs: bool | None = None,
    ball: Region | None = None,
) -> Decision:
    """Decide whether an input of a box reaches an alternative `C z <= d`.

    Sound because the parts cover the box, and each is closed by linear bounds that are rounded
    outward; complete for ReLU networks up to that rounding, given time.

    Args:
        graph: the network.
        low: lower ends of the box, float64, shape of one row.
        high: upper ends.
        disjuncts: pairs `(C (m, K), d (m,))`; what must not happen is that all rows of one hold.
        deadline: of `time.monotonic()`; kept within half a second.
        record: whether to keep what a checker needs.
        attack: whether to look for counterexamples besides those that the bounds suggest.
        most: parts after which the search gives up.
        signs: whether the signs of ReLUs are split, or else the inputs; by the number of inputs
            unless said.
        ball: one row, centred in the box; only inputs that lie in it as well are meant.
    """
    began = time.monotonic()
    graph, unsafe = simplified(graph), Unsafe.of(disjuncts)
    box = Box(low[None].double(), high[None].double())
    region = Region(box, (box.low + box.high) / 2) if ball is None else ball.part(box)

    if attack and (witness := sought(graph, unsafe, region, deadline)) is not None:
        return Decision("sat", witness, None, 0, time.monotonic() - began)
    with torch.no_grad():
        signs = low.numel() > FEW if signs is None else signs
        search = _search(graph, unsafe, region, deadline, record=record, signs=signs)
        answer = search.run(most)
        taken = time.monotonic() - began
        proof = search.proof if answer == "unsat" else None
        witness = None if search.witness is None else region.pulled(search.witness[None])[0]
        return Decision(answer, witness, proof, search.domains, taken, search.least)


def _search(
    graph: Graph, unsafe: Unsafe, region: Region, deadline: float, *, record: bool, signs: bool
) -> ReluSplits | InputSplits | FoldedSplits:
    """What divides a region: signs, or inputs; of large networks what is left of them."""
    if signs and any(node.is_relu for node in graph.nodes):
        return ReluSplits(graph, unsafe, region, deadline, record)
    if not record and region.boxed and large(graph) and covered(graph):
        low, high = region.box.flat()
        network = folded(graph, Box(low[0], high[0]), unsafe.c, unsafe.d)
        if network is not None:
            return FoldedSplits(graph, network, unsafe, region, deadline)
    return InputSplits(graph, unsafe, region, deadline, record)


def sought(graph: Graph, unsafe: Unsafe, region: Region, deadline: float) -> Tensor | None:
    """A counterexample, looked for before anything is bounded; None if none was met."""
    part = max(STARTS, NUMBERS // sum(prod(node.shape) for node in graph.nodes))
    every = seek(
        through(graph, region), unsafe, Box(region.box.low[0], region.box.high[0]),
        torch.Generator().manual_seed(0),
        samples=min(SAMPLES, BATCHES * part), at_once=part, starts=STARTS, steps=STEPS,
        deadline=deadline,
    )  # fmt: skip
    found = next((tried.witness for tried in every if tried.witness is not None), None)
    return None if found is None else region.pulled(found[None])[0]
