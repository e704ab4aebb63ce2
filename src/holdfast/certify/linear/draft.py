"""Linear bounds in float32 with nothing rounded outward, and their slope in every choice."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.minima import Minima
from holdfast.certify.network.bends import Bend, Choice, Planes, Relu
from holdfast.ops.interval import Box


@dataclass
class Passed:
    """What a pass down left at a bend.

    Args:
        a: `(B, m, *shape)` coefficients that reached it.
        positive: 1 where they are positive, else 0.
        slopes: of the plane that was taken, one tensor per parent.
    """

    a: Tensor
    positive: Tensor
    slopes: list[Tensor]


class Draft:
    """Bounds `(B, m)` of a value's linear functions, each question with its own planes.

    Args:
        bounds: of the network up to `start`.
        start: position of the value asked about.
        m: questions per row.
    """

    def __init__(self, bounds: Bounds, start: int, m: int) -> None:
        self.bounds, self.start = bounds, start
        self.nodes = bounds.graph.nodes[: start + 1]
        self.operators: list[Any] = [node.operator for node in bounds.graph.single.nodes]
        self.free: list[Tensor] = []
        self.usual: list[Tensor] = []  # the choices that are made without an ascent
        self.slots: dict[int, slice] = {}
        self.fixed: dict[int, tuple[Tensor, ...]] = {}  # of a ReLU: open, slope and offset above
        self.push: dict[int, Tensor] = {}  # coefficients `(B, m, *shape)` that are added on the way
        self.passed: dict[int, Passed] = {}
        self.values: dict[int, Tensor] = {}  # at the minimum, of the planes taken
        self.minima, self.last = Minima.of(bounds.region), torch.empty(0)
        self.hulls = {i: hull.single for i, hull in bounds.hulls.items()}
        self.parents = [bounds.meant(i) for i in range(len(self.nodes))]
        for i in (i for i in bounds.planes if i <= start):
            bend, boxes = self._bend(i)
            own = [part.float() for part in bend.start(boxes)]
            self.usual += own[:1] if isinstance(bend, Relu) else own
            if isinstance(bend, Relu):
                (above,), offset = bounds.planes[i].above, bounds.planes[i].above_offset
                line = bend.open(boxes[0]), above[:, None], offset[:, None]
                self.fixed[i] = tuple(part.float() for part in line)
                own = [self.fixed[i][1]]
            self.slots[i] = slice(len(self.free), len(self.free) + len(own))
            self.free += [part.expand(-1, m, *self.nodes[i].shape).clone() for part in own]

    def _bend(self, i: int) -> tuple[Bend, list[Box]]:
        node = self.bounds.graph.nodes[i]
        boxes = [self.bounds.boxes[p] for p in node.parents]
        lifted = [Box(box.low[:, None], box.high[:, None]) for box in boxes]
        return node.operator, lifted  # type: ignore[return-value]

    def planes(self) -> dict[int, Planes]:
        """The planes of the choices as they are, in float64: they hold, whatever the choices."""
        return {i: self._planes(i, [v.double() for v in self.free[at]])
                for i, at in self.slots.items()}  # fmt: skip

    def _planes(self, i: int, own: list[Tensor]) -> Planes:
        bend, boxes = self._bend(i)
        if not isinstance(bend, Relu):
            return bend.planes(boxes, Choice(*own))
        known = self.bounds.planes[i]
        below = torch.where(bend.open(boxes[0]), own[0], known.below[0][:, None])
        return Planes((below,), known.below_offset, known.above, known.above_offset)

    def moments(self) -> list[tuple[Tensor, Tensor]]:
        """Zeros of the shape of the choices, twice."""
        return [(torch.zeros_like(v), torch.zeros_like(v)) for v in self.free]

    def taken(self, rows: Tensor | None, few: Callable[[Tensor], Tensor]) -> Draft:
        """The same for a selection of questions, with what the last pass down left.

        Args:
            rows: of each question that stays, if it becomes a row of its own; where there are
                hulls, all rows in their order, as often each.
            few: takes the selection from `(B, m, ...)`.
        """
        found = copy(self)
        found.free, found.last = [few(v) for v in self.free], few(self.last)
        found.passed = {i: Passed(few(p.a), few(p.positive), [few(s) for s in p.slopes])
                        for i, p in self.passed.items()}  # fmt: skip
        if rows is not None:
            if len(self.fixed) < len(self.slots):  # boxes of other bends than ReLUs are needed
                found.bounds = self.bounds.take(rows)
            found.minima = self.minima.take(rows)
            found.fixed = {i: tuple(p[rows] for p in line) for i, line in self.fixed.items()}
        return found

    def down(self, a: Tensor, first: Tensor | None) -> Tensor:
        """`(B, m)`: the bounds of `a . value` with the choices as they are."""
        waiting, offset = {self.start: a}, torch.zeros(a.shape[:2], device=a.device)
        self.passed = {}
        a = a.new_zeros(*a.shape[:2], *self.nodes[0].shape)
        for i in range(self.start, -1, -1):
            if i not in waiting:
                continue
            node, a = self.nodes[i], waiting.pop(i)
            if i in self.push:
                a = a + self.push[i]
            if node.is_input:
                break
            if i in self.slots:
                parts, more = self._through(i, a)
                offset = offset + more
            else:
                op, lead = self.operators[i], a.shape[:2]
                if first is not None and i == self.start:
                    parts = [first]
                else:
                    parts = [p.unflatten(0, lead) for p in op.back(a.flatten(0, 1))]
                if op.bias is not None:
                    offset = offset + a.flatten(2) @ op.bias.expand(node.shape).flatten()
            for parent, part in zip(self.parents[i], parts, strict=True):
                waiting[parent] = waiting[parent] + part if parent in waiting else part
        self.last = a
        return offset + self.minima.value(a)

    def _through(self, i: int, a: Tensor) -> tuple[list[Tensor], Tensor]:
        """Coefficients behind a bend, and what its planes add."""
        positive, down, extra = a.sign().clamp_(min=0), a.clamp(max=0), []
        if i in self.fixed:
            open_, above, offset = self.fixed[i]
            slopes = [torch.lerp(above, self.free[self.slots[i]][0], positive)]
            more = (down.flatten(2) @ offset.flatten(2).mT).squeeze(2)
            if i in self.hulls:
                extra = [self.hulls[i].back(down * open_)]
        else:
            own = [v.double() for v in self.free[self.slots[i]]]
            below, low, above_, high = self._planes(i, own).each(Tensor.float)
            slopes = [torch.lerp(n, p, positive) for n, p in zip(above_, below, strict=True)]
            more = (down * high + (a - down) * low).flatten(2).sum(2)
        self.passed[i] = Passed(a, positive, slopes)
        return [a * slope for slope in slopes] + extra, more

    def up(self, *, whole: bool = False) -> list[Tensor]:
        """The slope of each bound of the last pass down in each choice, of the shape of `free`.

        `values` holds those in what was pushed and, if `whole`, in what was asked about.
        """
        found = [torch.zeros(0)] * len(self.free)
        last = self.start if whole else max((*self.passed, *self.push), default=0)
        values = self.values = {0: self.minima.where(self.last)}
        lead = self.last.shape[:2]
        for i in range(1, last + 1):
            if any(p not in values for p in self.parents[i]):
                continue
            ins = [values[p] for p in self.parents[i]]
            if i not in self.slots:
                op = self.operators[i]
                value = op.linear([v.flatten(0, 1) for v in ins]).unflatten(0, lead)
                values[i] = value if op.bias is None else value + op.bias
            elif i in self.passed:
                values[i] = self._turned(i, ins, found)
        pairs = zip(found, self.free, strict=True)
        return [g if g.numel() else torch.zeros_like(v) for g, v in pairs]

    def _turned(self, i: int, ins: list[Tensor], found: list[Tensor]) -> Tensor:
        """The value of the planes that were taken; the slopes in the choices go to `found`."""
        past, at = self.passed[i], self.slots[i]
        if i in self.fixed:
            open_, _, offset = self.fixed[i]
            found[at.start] = past.a.clamp(min=0).mul_(ins[0]).mul_(open_)
            if i in self.hulls:
                offset = torch.addcmul(offset, open_, self.hulls[i].linear(ins[1]))
            return torch.addcmul(offset - past.positive * offset, past.slopes[0], ins[0])
        own = [v.double().requires_grad_(True) for v in self.free[at]]
        with torch.enable_grad():
            below, low, above, high = self._planes(i, own).each(Tensor.float)
            under = sum((s * v for s, v in zip(below, ins, strict=True)), low)
            over = sum((s * v for s, v in zip(above, ins, strict=True)), high)
            value = torch.lerp(over, under, past.positive)
            total = (past.a * value).nan_to_num(0.0, 0.0, 0.0).sum()
        slopes = torch.autograd.grad(total, own, allow_unused=True)
        for k, (g, v) in enumerate(zip(slopes, own, strict=True)):
            found[at.start + k] = torch.zeros_like(v).float() if g is None else g.float()
        return value.detach()
