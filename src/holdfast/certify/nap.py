"""Proofs about the inputs that follow an activation pattern."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.certify.linear.bounds import margins, propagate
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.prepare import prepare
from holdfast.certify.network.graph import Graph
from holdfast.certify.network.operators import Operator
from holdfast.certify.patterns import Patterns
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Goal
from holdfast.core.kinds import Model, Threat
from holdfast.ops.interval import Box


def _bent(graph: Graph) -> list[int]:
    """Positions of what goes into each ReLU, in order.

    Raises:
        Unsupported: if there is none.
    """
    found = [node.parents[0] for node in graph.nodes if node.is_relu]
    if not found:
        raise Unsupported("activation patterns need a network with ReLUs", fix="Use nn.ReLU.")
    return found


def _drift(bounds: Bounds) -> list[Tensor]:
    """How far what the model computes, or float64 does, may lie from a value's exact number.

    So far beyond zero may a unit compute that exactly follows its sign.
    """
    found: list[Tensor] = []
    for i, node in enumerate(bounds.graph.nodes):
        zero = torch.zeros_like(bounds.boxes[i].low)
        if isinstance(node.operator, Operator):
            zero = node.operator.spread([found[p] for p in node.parents])
        elif node.is_relu:
            zero = found[node.parents[0]]
        elif not node.is_input:
            raise Unsupported(
                "activation patterns need a network whose only bends are ReLUs",
                fix="Build the network with nn.ReLU only, or bound it with certifier:crown.",
            )
        error = bounds.errors[i]
        found.append(zero if error is None else (zero + 2 * error) * (1 + 1e-9))
    return found


@dataclass(frozen=True, eq=False)
class PatternProof:
    """What is known of the inputs of a threat that follow a pattern.

    Args:
        margin: `(B,)`, above the adversary's margin at each of them; negative means proved.
        empty: `(B,)` bool: provably none of them follows it, so that the proof says nothing.
    """

    margin: Tensor
    empty: Tensor

    @property
    def proved(self) -> Tensor:
        """`(B,)` bool: the adversary cannot win by any input that follows the pattern."""
        return (self.margin.isfinite() & (self.margin < 0)) | self.empty


def pattern_margin(
    model: Model, patterns: Patterns, x: Tensor, y: Tensor, goal: Goal, threat: Threat
) -> PatternProof:
    """Bounds of the margin over those inputs of a threat that follow the pattern of class y.

    A unit that is specified has a pre-activation on one side of zero: its interval is cut there,
    which fixes the ReLU and tightens all intervals behind it. So the region can only shrink, and
    the bound is never above the one without a pattern. Where the interval lies wholly on the
    other side, nothing follows the pattern.

    Args:
        model: a network that can be read.
        patterns: of its units.
        x: `(B, ...)` inputs.
        y: `(B,)` classes whose pattern is followed.
        goal: of the adversary, linear in the logits.
        threat: a norm ball.

    Raises:
        Unsupported: for an operator, goal or threat that cannot be bounded.

    Cost: twice that of CROWN.
    """
    question = prepare(model, x, goal, threat)
    if question is None:
        none = x.new_zeros(0)
        return PatternProof(none.double(), none.bool())
    graph, region, c, constant = question
    with torch.no_grad():
        free = propagate(graph, region, "crown")
        known: dict[int, Box] = {}
        lost = _drift(free)
        empty = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        places = _bent(graph)
        if [tuple(s.shape[1:]) for s in patterns.signs] != [
            tuple(graph.nodes[i].shape) for i in places
        ]:
            raise Unsupported("these patterns are of another network", fix="Mine them anew.")
        for i, signs in zip(places, patterns.signs, strict=True):
            asked, box = signs.to(x.device)[y.to(x.device)], free.boxes[i]
            low = torch.where(asked > 0, torch.maximum(box.low, -lost[i]), box.low)
            high = torch.where(asked < 0, torch.minimum(box.high, lost[i]), box.high)
            empty |= (low > high).flatten(1).any(1)
            known[i] = Box(torch.minimum(low, box.high), torch.maximum(high, box.low))
        cut = propagate(graph, region, "crown", known)
        found = [margins(b, c, constant, relax=r) for b in (free, cut) for r in (True, False)]
    return PatternProof(torch.stack(found).amin(0).amax(1), empty & ~free.overflow)
