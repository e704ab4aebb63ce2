"""Where values of a network are measured from, and what coefficients of each cost."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.region import Region
from holdfast.certify.linear.rough import Middle, Ready
from holdfast.certify.network.bends import Bend, Planes
from holdfast.certify.network.operators import Operator, Scale
from holdfast.certify.network.rearrange import Permute, Reshape, Total
from holdfast.certify.network.section import fan, section
from holdfast.ops.interval import UNIT, gamma

FLOOR = 2.0**-100  # far above what one underflow may lose in float32, 2^-126
COARSE = 2.0**-24  # rounding unit of float32


class Reference:
    """Where values are measured from, and what coefficients of each cost.

    Args:
        bounds: of the network up to `end`.
        end: the last node.
        start: the node that is taken as input; its box is all that is known of it.
    """

    def __init__(self, bounds: Bounds, end: int, start: int = 0) -> None:
        self.bounds, self.start, self.end = bounds, start, end
        self.nodes, self.boxes = bounds.graph.nodes, bounds.boxes
        low, high = bounds.boxes[start]
        self.value = {start: (low + high) / 2}
        self.reach = {start: self._reach(start)}
        self.cost: dict[int, Tensor] = {}
        self.rounds: dict[int, Tensor] = {}  # what is multiplied by the rounding unit
        self.gaps: dict[int, Tensor] = {}
        self.middles: dict[int, Middle] = {}
        self.lost = torch.zeros(len(low), dtype=torch.float64, device=low.device)
        inner = range(start + 1, end + 1)
        self.uses = dict.fromkeys(range(start, end + 1), 0)
        for k in inner:
            for p in self.nodes[k].parents:
                self.uses[p] += 1
        for k in inner:
            self._add(k)
        self.cost[start] = self.reach[start]
        self.rounds[start] = (self.uses[start] + 9) * self.reach[start]

    def _reach(self, k: int) -> Tensor:
        low, high = self.boxes[k]
        return torch.maximum(high - self.value[k], self.value[k] - low) * (1 + 8 * UNIT)

    def _add(self, k: int) -> None:
        node, bounds = self.nodes[k], self.bounds
        op, parents = node.operator, node.parents
        sums = 1 + torch.stack([self.reach[p].flatten(1).sum(1) for p in parents]).sum(0)
        self.lost = self.lost + FLOOR * (fan(node) + 8) * sums
        if isinstance(op, Bend):
            steep, cost, rounds = self._bend(k, bounds.planes[k])
        elif isinstance(op, Operator):
            steep = [op.factor.abs()] if isinstance(op, Scale) else []
            if isinstance(op, Total):
                steep = [self.lost.new_tensor(abs(f)) for f in op.factors]
            value, spread = (
                f([v[p] for p in parents])
                for f, v in ((op.linear, self.value), (op.spread, self.reach))
            )
            self.value[k] = value if op.bias is None else value + op.bias
            own = gamma(op.terms + 8) * (bounds.masses[k] + spread)
            cost = own + FLOOR * sums.reshape(-1, *[1] * (spread.dim() - 1))
            rounds = _lost(fan(node) + 8) * spread
        self.reach[k] = self._reach(k)
        if isinstance(op, Reshape | Permute) and self.uses[k] == 1:
            return
        error = bounds.errors[k]
        if error is not None and not (isinstance(op, Operator) and op.exact):
            cost = cost + error
        if self.uses[k] > 1:
            rounds = rounds + _lost(self.uses[k] + 1) * self.reach[k]
        # What coefficients cost one step further is known already, coordinate by coordinate.
        for p, factor in zip(parents, steep, strict=False):
            if self.uses[p] == 1 and p in self.cost:
                past = self.cost.pop(p) * factor
                cost, rounds = cost + past, rounds + self.rounds.pop(p) * factor + 8 * past
        self.cost[k], self.rounds[k] = cost, rounds

    def _bend(self, k: int, planes: Planes) -> tuple[list[Tensor], Tensor, Tensor]:
        """How steep the planes of a bend are, and what an absolute coefficient on it costs."""
        low, high, none = planes.below_offset, planes.above_offset, 0 * planes.above_offset
        size, cost, rounds, gap = none, none, none, none
        steep: list[Tensor] = []
        for p, below, above in zip(self.nodes[k].parents, planes.below, planes.above, strict=True):
            low, high = low + below * self.value[p], high + above * self.value[p]
            steep.append(below.abs() + above.abs())
            size = size + steep[-1] * self.value[p].abs()
            cost = cost + (steep[-1] != 0) * FLOOR * self.reach[p]
            rounds = rounds + steep[-1] * 9 * self.reach[p]
            ends = [(above - below) * (end - self.value[p]) for end in self.boxes[p]]
            gap = gap + torch.maximum(*ends)
        self.value[k] = ((low + high) / 2).nan_to_num(0.0, 0.0, 0.0)
        size = size + planes.below_offset.abs() + planes.above_offset.abs()
        pairs = tuple(zip(planes.below, planes.above, strict=True))
        self.middles[k] = Middle(
            tuple((b + a) / 2 for b, a in pairs), tuple((b - a) / 2 for b, a in pairs)
        )
        self.gaps[k] = gap.clamp(min=0)
        return steep, cost + ((high - low) / 2).clamp(min=0) + 32 * UNIT * size, rounds

    def ready(self, dtype: torch.dtype, *, gaps: bool = False) -> Ready:
        """The same bounds, ready for coefficients of a type.

        Args:
            dtype: float32 or float64.
            gaps: whether bounds from above are wanted beside those from below.
        """
        bounds, end, unit = self.bounds, self.end, torch.finfo(dtype).eps / 2
        part, up = section(bounds.graph, self.start, end, dtype), 1 + 1024 * unit
        place = {k: j for j, k in enumerate(part.origin)}

        def rounded(values: Tensor) -> Tensor:
            """Zero only where it was: by that, neurons that are off are told."""
            few = values.to(dtype)
            return few.masked_fill_((few == 0) & (values != 0), torch.finfo(dtype).tiny)

        errors = [
            rounded((self.cost[k] + unit * self.rounds[k]) * up) if k in self.cost else None
            for k in part.origin
        ]
        middles = {place[k]: middle.each(rounded) for k, middle in self.middles.items()}
        wide = {place[k]: rounded(gap * up) for k, gap in self.gaps.items()} if gaps else {}
        region = Region(bounds.boxes[self.start], self.value[self.start])
        return Ready(
            part.graph, region, [], {}, [], errors, bounds.overflow, [],
            middles, wide, self.lost, self.value[end].flatten(1),
        )  # fmt: skip


def _lost(terms: int) -> float:
    """Relative error of a sum, in rounding units not larger than those of float32."""
    return gamma(terms, COARSE) / COARSE
