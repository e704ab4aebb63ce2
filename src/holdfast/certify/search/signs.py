"""Bounds of parts of a box in which some neurons have a known sign."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from math import inf, prod

import torch
from torch import Tensor

from holdfast.certify.linear.ascent import Ascent
from holdfast.certify.linear.backward import backward, evaluated
from holdfast.certify.linear.coefficients import Bounds, Linear
from holdfast.certify.network.bends import Planes
from holdfast.certify.network.graph import Graph
from holdfast.certify.search.leaf import solved
from holdfast.certify.search.splits import Splits
from holdfast.certify.search.unsafe import Unsafe
from holdfast.ops.interval import UNIT, Box
from holdfast.ops.linear import relu_lines

SLOPE_RATE, BETA_RATE, MIX_RATE = 0.1, 0.2, 0.3  # first steps of the ascent
LARGEST = 1e6  # of a multiplier


class Signed:
    """Bounds parts of a box, starting from what is known of the whole box.

    Args:
        graph: the network.
        root: what is known of the whole box: one row.
        unsafe: the alternatives.
    """

    def __init__(self, graph: Graph, root: Bounds, unsafe: Unsafe) -> None:
        self.graph, self.root, self.unsafe = graph, root, unsafe
        self.relus = {i: n.parents[0] for i, n in enumerate(graph.nodes) if n.is_relu}
        self.slope: Tensor | None = None
        most = int(torch.bincount(unsafe.owner).max())
        self.c = torch.zeros(unsafe.count, most, unsafe.c.shape[1], dtype=torch.float64)
        self.d = torch.zeros(unsafe.count, most, dtype=torch.float64)
        self.none = torch.ones(unsafe.count, most, dtype=torch.bool)
        for j in range(unsafe.count):
            rows = unsafe.rows(j)
            self.c[j, : len(rows)], self.d[j, : len(rows)] = unsafe.c[rows], unsafe.d[rows]
            self.none[j, : len(rows)] = False
        seen: dict[int, Tensor] = {}
        backward(root, graph.output, unsafe.c[None], seen=seen)
        self.scale = {i: float(v.abs().mean()) + 1e-6 for i, v in seen.items()}

    def share(self, parts: Splits) -> Tensor:
        """`(N, 1, R)`: the mixtures, 0 where an alternative has no such row."""
        return self._share(parts, parts.mix)

    def _share(self, parts: Splits, mix: Tensor) -> Tensor:
        return mix.masked_fill(self.none[parts.which][:, None], -torch.inf).softmax(2)

    def whole(self, which: Tensor, bound: Tensor) -> Splits:
        """One part for each of some alternatives: the whole box."""
        n = len(which)
        signs, slopes, betas = {}, {}, {}
        for i, p in self.relus.items():
            shape = self.graph.nodes[i].shape
            signs[p] = torch.zeros(n, *shape, dtype=torch.int8)
            betas[p] = torch.zeros(n, 1, *shape, dtype=torch.float64)
            start = self.root.planes[i].below[0]
            slopes[i] = start[:, None].expand(n, 1, *shape).clone()
        mix = torch.zeros(n, 1, self.c.shape[1], dtype=torch.float64)
        return Splits(which, bound, mix, signs, slopes, betas, torch.zeros(n, dtype=torch.long))

    def bounds(self, parts: Splits) -> Bounds:
        """What is known of each part: the boxes of the whole, cut by the signs."""
        n = len(parts)
        boxes = [Box(*(e.expand(n, *e.shape[1:]) for e in box)) for box in self.root.boxes]
        for p, sign in parts.signs.items():
            low, high = boxes[p]
            low = torch.where(sign > 0, low.clamp(min=0), low)
            high = torch.where(sign < 0, high.clamp(max=0), high)
            boxes[p] = Box(torch.minimum(low, high), high)  # nothing lies in a part with low > high
        planes = {i: p.take(torch.zeros(n, dtype=torch.long)) for i, p in self.root.planes.items()
                  if i not in self.relus}  # fmt: skip
        for i, p in self.relus.items():
            lines = relu_lines(boxes[p])
            none = torch.zeros_like(lines.upper_offset)
            planes[i] = Planes((lines.lower_slope,), none, (lines.upper_slope,), lines.upper_offset)
        part = self.root.region
        region = replace(part, box=Box(*(e.expand(n, *e.shape[1:]) for e in part.box)),
                         centre=part.centre.expand(n, *part.centre.shape[1:]))  # fmt: skip
        errors = [None if e is None else e.expand(n, *e.shape[1:]) for e in self.root.errors]
        peaks = [p.expand(n) for p in self.root.peaks]
        return Bounds(
            self.graph, region, boxes, planes, peaks, errors, self.root.overflow.expand(n)
        )

    def place(self, index: int) -> tuple[int, int]:
        """Which ReLU, and which entry of it, a neuron is that is counted over all ReLUs."""
        for layer, i in enumerate(self.relus):
            size = prod(self.graph.nodes[i].shape)
            if index < size:
                return layer, index
            index -= size
        raise IndexError(index)

    def improve(self, parts: Splits, steps: int, deadline: float = inf) -> Tensor:
        """`(N,)` bool: parts that stay open; bounds and choices of all are improved in place.

        Args:
            parts: what to bound; the best of what is tried is kept.
            steps: evaluations.
            deadline: of `time.monotonic()`, after which no further one begins.
        """
        bounds = self.bounds(parts)
        slopes = {i: v.clone() for i, v in parts.slopes.items()}
        betas = {p: v.clone() for p, v in parts.betas.items()}
        mix = parts.mix.clone()
        free = [*slopes.values(), *betas.values(), mix]
        kinds = [(0.0, 1.0)] * len(slopes) + [(0.0, LARGEST)] * len(betas) + [(-20.0, 20.0)]
        rates = [SLOPE_RATE] * len(slopes)
        rates += [BETA_RATE * self.scale[i] for i in self.relus] + [MIX_RATE]
        last: list[Linear] = []

        def value() -> Tensor:
            line, d = self.line(bounds, parts, slopes, betas, mix)
            last[:] = [line]
            found = evaluated(bounds, line) - d
            return found - 4 * UNIT * (found.detach().abs() + 2 * d.detach().abs())

        best = Ascent(free, kinds, rates).run(
            value, steps, keep=True,
            done=lambda seen: bool((seen > 0).all()) or time.monotonic() > deadline,
        )  # fmt: skip
        for store, now in ((parts.slopes, slopes), (parts.betas, betas)):
            for i, v in now.items():
                store[i].copy_(v)
        parts.mix.copy_(mix)
        torch.maximum(parts.bound, best[:, 0], out=parts.bound)
        self.slope = last[0].slope[:, 0].detach()
        return ~(best[:, 0] > 0)

    def line(
        self,
        bounds: Bounds,
        parts: Splits,
        slopes: Mapping[int, Tensor],
        betas: Mapping[int, Tensor],
        mix: Tensor,
        seen: dict[int, Tensor] | None = None,
    ) -> tuple[Linear, Tensor]:
        """The linear function below the mixture of rows of each part, and its right-hand side."""
        planes = dict(bounds.planes)
        for i, p in self.relus.items():
            box, fixed = bounds.boxes[p], bounds.planes[i]
            open_ = ((box.low < 0) & (box.high > 0))[:, None]
            own = torch.where(open_, slopes[i], fixed.below[0][:, None])
            planes[i] = Planes((own,), fixed.below_offset, fixed.above, fixed.above_offset)
        push = {p: -parts.signs[p][:, None] * betas[p] for p in betas}
        share = self._share(parts, mix)
        c, d = share @ self.c[parts.which], (share @ self.d[parts.which][:, :, None])[:, :, 0]
        c = c.reshape(len(parts), 1, *self.graph.nodes[self.graph.output].shape)
        line = backward(bounds, self.graph.output, c, planes=planes, push=push, seen=seen)
        return line, d

    def whole_known(self, parts: Splits) -> Tensor:
        """`(N,)` bool: parts in which no sign is open any more."""
        bounds = self.bounds(parts)
        none = torch.ones(len(parts), dtype=torch.bool)
        for p in self.relus.values():
            low, high = bounds.boxes[p]
            none &= ~((low < 0) & (high > 0)).flatten(1).any(1)
        return none

    def settle(self, parts: Splits, row: int) -> tuple[bool, Tensor]:
        """Close a part in which no sign is open; whether that worked, and the minimiser."""
        one = parts.take(slice(row, row + 1))
        bounds = self.bounds(one)
        none = {p: torch.zeros_like(v, dtype=torch.float64) for p, v in one.betas.items()}
        line, _ = self.line(bounds, one, one.slopes, none, one.mix)
        found = solved(bounds, line.slope[0, 0], {p: v[0] for p, v in one.signs.items()})
        if found is None:
            return False, bounds.region.centre[0]
        betas = {p: v[None, None] for p, v in found[1].items()}
        line, d = self.line(bounds, one, one.slopes, betas, one.mix)
        value = (evaluated(bounds, line) - d)[0, 0]
        for p, v in betas.items():
            parts.betas[p][row] = v[0].to(parts.betas[p].dtype)
        value = value - 4 * UNIT * (value.abs() + 2 * d.abs()[0, 0])
        parts.bound[row] = torch.maximum(parts.bound[row], value)
        return bool(value > 0), found[0]
