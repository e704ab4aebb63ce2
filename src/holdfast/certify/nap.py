"""Neuron activation patterns as specifications: which units a class switches on and off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from holdfast.certify.linear.bounds import margins, propagate
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.prepare import prepare
from holdfast.certify.network.graph import Graph
from holdfast.certify.network.operators import Operator
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import Goal
from holdfast.core.kinds import Model, Threat
from holdfast.core.quiet import quiet
from holdfast.ops.interval import Box


@dataclass(frozen=True, eq=False)
class Patterns:
    """For each class the units that are nearly always on, or nearly always off.

    Args:
        signs: `(K, ...)` per ReLU in order of evaluation: 1 on, -1 off, 0 not specified.
    """

    signs: tuple[Tensor, ...]

    @classmethod
    def mine(cls, model: Model, x: Tensor, y: Tensor, *, share: float = 0.95) -> Patterns:
        """The pattern that at least a share of each class's inputs follow, unit by unit.

        A unit is on where its pre-activation is above zero. A smaller share specifies more units,
        and fewer inputs follow all of them. A class without inputs specifies nothing.

        Args:
            model: a network with ReLUs.
            x: `(B, ...)` inputs.
            y: `(B,)` labels.
            share: in (1/2, 1].

        Raises:
            ConfigError: for a share outside of its range.
            Unsupported: for a network without ReLU.
        """
        if not 0.5 < share <= 1:
            raise ConfigError(f"Patterns: share must lie in (1/2, 1], got {share}")
        signs = []
        for on in activations(model, x):
            rows = []
            for k in range(int(y.max()) + 1 if len(y) else 0):
                own = on[(y == k).to(on.device)].double()
                mean = own.mean(0) if len(own) else torch.full_like(on[:0].sum(0).double(), 0.5)
                rows.append((mean >= share).to(torch.int8) - (1 - mean >= share).to(torch.int8))
            signs.append(torch.stack(rows))
        return cls(tuple(signs))

    def follows(self, model: Model, x: Tensor, y: Tensor) -> Tensor:
        """`(B,)` bool: whether each input follows the pattern of class y."""
        return self.violated(model, x, y) == 0

    def violated(self, model: Model, x: Tensor, y: Tensor) -> Tensor:
        """`(B,)`: share of the specified units of class y that each input switches otherwise."""
        wrong = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        count = torch.zeros_like(wrong)
        for on, signs in zip(activations(model, x), self.signs, strict=True):
            asked = signs.to(x.device)[y.to(x.device)].flatten(1)
            seen = 2 * on.flatten(1).to(torch.int8) - 1
            wrong += ((asked != 0) & (asked != seen)).sum(1)
            count += (asked != 0).sum(1)
        return wrong / count.clamp(min=1)

    def disjoint(self, a: int, b: int) -> bool:
        """Whether no input can follow the patterns of two classes: one unit must be on and off."""
        return any(bool((s[a] * s[b] < 0).any()) for s in self.signs)

    def specified(self, k: int) -> float:
        """Share of units that the pattern of a class specifies."""
        total = sum(s[k].numel() for s in self.signs)
        return sum(int((s[k] != 0).sum()) for s in self.signs) / max(total, 1)


def _bent(graph: Graph) -> list[int]:
    """Positions of what goes into each ReLU, in order.

    Raises:
        Unsupported: if there is none.
    """
    found = [node.parents[0] for node in graph.nodes if node.is_relu]
    if not found:
        raise Unsupported("activation patterns need a network with ReLUs", fix="Use nn.ReLU.")
    return found


class _Watch(TorchFunctionMode):
    """Records the signs of all that goes into a ReLU, in order of evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.on: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("relu", "relu_"):
            self.on.append(args[0].detach() > 0)
        return func(*args, **(kwargs or {}))


def activations(model: Model, x: Tensor) -> list[Tensor]:
    """`(B, ...)` bool per ReLU: which units are on, as the model computes them.

    Raises:
        Unsupported: if it has no ReLU.
    """
    with quiet(model), torch.no_grad(), _Watch() as watch:
        model(x)
    if not watch.on:
        raise Unsupported("activation patterns need a network with ReLUs", fix="Use nn.ReLU.")
    found: list[Tensor] = watch.on
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
            raise Unsupported("activation patterns need a network whose only bends are ReLUs")
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
