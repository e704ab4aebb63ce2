"""Bounds of parts of a region in which some neurons have a known sign."""

from __future__ import annotations

import time
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from math import inf

import torch
from torch import Tensor

from holdfast.certify.linear.ascent import Ascent
from holdfast.certify.linear.backward import backward, evaluated
from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.coefficients import Bounds, Linear
from holdfast.certify.linear.region import Region
from holdfast.certify.network.bends import Planes
from holdfast.certify.network.graph import Graph
from holdfast.certify.search.leaf import solved
from holdfast.certify.search.splits import Splits
from holdfast.certify.search.unsafe import Unsafe
from holdfast.ops.interval import UNIT, Box
from holdfast.ops.linear import relu_lines

SLOPE_RATE, BETA_RATE, MIX_RATE = 0.3, 2.0, 0.3  # first steps of the ascent
LARGEST = 1e6  # of a multiplier


class Signed:
    """Bounds parts of a region, starting from what is known of the whole.

    Args:
        graph: the network.
        root: what is known of the whole region: one row.
        unsafe: the alternatives.
        renew: whether splits shrink the boxes of the neurons behind them.
    """

    def __init__(self, graph: Graph, root: Bounds, unsafe: Unsafe, *, renew: bool) -> None:
        self.graph, self.root, self.unsafe = graph, root, unsafe
        self.relus = {i: n.parents[0] for i, n in enumerate(graph.nodes) if n.is_relu}
        self.renew = renew
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

    @property
    def fixed(self) -> Signed:
        """The same, with boxes that are only cut at zero by splits."""
        same = copy(self)
        same.renew = False
        return same

    def share(self, which: Tensor, mix: Tensor) -> Tensor:
        """`(Q, 1, R)`: the mixtures, 0 where an alternative has no such row."""
        return mix.masked_fill(self.none[which][:, None], -torch.inf).softmax(2)

    def whole(self, bound: Tensor) -> Splits:
        """One part: the whole region; `bound` is `(1, J)`."""
        count = self.unsafe.count
        signs, slopes, betas, low, high = {}, {}, {}, {}, {}
        for i, p in self.relus.items():
            shape = self.graph.nodes[i].shape
            signs[p] = torch.zeros(1, *shape, dtype=torch.int8)
            low[p], high[p] = self.root.boxes[p]
            betas[p] = torch.zeros(1, count, *shape, dtype=torch.float64)
            slopes[i] = self.root.planes[i].below[0][:, None].expand(1, count, *shape).clone()
        mix = torch.zeros(1, count, self.c.shape[1], dtype=torch.float64)
        none = torch.zeros(1, dtype=torch.long)
        return Splits(bound, mix, signs, low, high, slopes, betas, none, none)

    def region(self, count: int) -> Region:
        """The region, for several parts."""
        return self.root.region.take(torch.zeros(count, dtype=torch.long))

    def renewed(self, parts: Splits) -> tuple[Splits, Tensor]:
        """Parts with all boxes bounded anew, and `(N,)` bool where nothing lies in one."""
        if not self.renew:
            return parts, torch.zeros(len(parts), dtype=torch.bool)
        known = {p: Box(parts.low[p], parts.high[p]) for p in parts.signs}
        bounds = propagate(self.graph, self.region(len(parts)), "crown", known)
        empty = torch.zeros(len(parts), dtype=torch.bool)
        low, high = {}, {}
        for p, sign in parts.signs.items():
            down, up = bounds.boxes[p]
            empty |= (((sign > 0) & (up < 0)) | ((sign < 0) & (down > 0))).flatten(1).any(1)
            low[p], high[p] = down, up
        return replace(parts, low=low, high=high), empty

    def bounds(self, parts: Splits, rows: Tensor) -> Bounds:
        """What is known of some parts."""
        n = len(rows)
        none = torch.zeros(n, dtype=torch.long)
        boxes = [box if p in parts.low else box.take(none) for p, box in enumerate(self.root.boxes)]
        for p in parts.low:
            boxes[p] = Box(parts.low[p][rows], parts.high[p][rows])
        planes = {i: p.take(none) for i, p in self.root.planes.items() if i not in self.relus}
        for i, p in self.relus.items():
            lines = relu_lines(boxes[p])
            zero = torch.zeros_like(lines.upper_offset)
            planes[i] = Planes((lines.lower_slope,), zero, (lines.upper_slope,), lines.upper_offset)
        errors = [None if e is None else e.expand(n, *e.shape[1:]) for e in self.root.errors]
        peaks = [p.expand(n) for p in self.root.peaks]
        return Bounds(
            self.graph, self.region(n), boxes, planes, peaks, errors, self.root.overflow.expand(n)
        )

    def improve(self, parts: Splits, steps: int, deadline: float = inf) -> Tensor:
        """`(N, J, ...)` slopes of the inputs in the last bounds; all is improved in place.

        Args:
            parts: what to bound; the best of what is tried is kept.
            steps: evaluations.
            deadline: of `time.monotonic()`, after which no further one begins.
        """
        rows, which = parts.open.nonzero().unbind(1)
        bounds = self.bounds(parts, rows)
        slopes = {i: v[rows, which][:, None] for i, v in parts.slopes.items()}
        betas = {p: v[rows, which][:, None] for p, v in parts.betas.items()}
        signs = {p: v[rows][:, None] for p, v in parts.signs.items()}
        mix = parts.mix[rows, which][:, None]
        free = [*slopes.values(), *betas.values()]
        kinds = [(0.0, 1.0)] * len(slopes) + [(0.0, LARGEST)] * len(betas)
        rates = [SLOPE_RATE] * len(slopes)
        rates += [BETA_RATE * self.scale[i] for i in self.relus]
        if self.c.shape[1] > 1:
            free, kinds, rates = [*free, mix], [*kinds, (-20.0, 20.0)], [*rates, MIX_RATE]
        last: list[Linear] = []

        def value() -> Tensor:
            line, d = self.line(bounds, which, signs, slopes, betas, mix)
            last[:] = [line]
            return self.lowered(bounds, line, d)

        best = Ascent(free, kinds, rates).run(
            value, steps, keep=True,
            done=lambda seen: bool((seen > 0).all()) or time.monotonic() > deadline,
        )  # fmt: skip
        for store, now in ((parts.slopes, slopes), (parts.betas, betas)):
            for i, v in now.items():
                store[i][rows, which] = v[:, 0]
        parts.mix[rows, which] = mix[:, 0]
        parts.bound[rows, which] = torch.maximum(parts.bound[rows, which], best[:, 0])
        found = last[0].slope[:, 0].detach()
        slope = found.new_zeros(*parts.bound.shape, *found.shape[1:])
        slope[rows, which] = found
        return slope

    def once(self, parts: Splits) -> dict[int, Tensor]:
        """Improve bounds in place by one evaluation; coefficients `(N, J, ...)` at each ReLU."""
        rows, which = parts.open.nonzero().unbind(1)
        bounds = self.bounds(parts, rows)
        slopes = {i: v[rows, which][:, None] for i, v in parts.slopes.items()}
        betas = {p: v[rows, which][:, None] for p, v in parts.betas.items()}
        signs = {p: v[rows][:, None] for p, v in parts.signs.items()}
        mix = parts.mix[rows, which][:, None]
        seen: dict[int, Tensor] = {}
        line, d = self.line(bounds, which, signs, slopes, betas, mix, seen)
        found = self.lowered(bounds, line, d)[:, 0].nan_to_num(-torch.inf, torch.inf, -torch.inf)
        parts.bound[rows, which] = torch.maximum(parts.bound[rows, which], found)
        every = {}
        for i, a in seen.items():
            every[i] = a.new_zeros(*parts.bound.shape, *a.shape[2:])
            every[i][rows, which] = a[:, 0]
        return every

    def lowered(self, bounds: Bounds, line: Linear, d: Tensor) -> Tensor:
        """`(Q, 1)`: numbers below the margins."""
        found = evaluated(bounds, line) - d
        return found - 4 * UNIT * (found.detach().abs() + 2 * d.detach().abs())

    def line(
        self,
        bounds: Bounds,
        which: Tensor,
        signs: Mapping[int, Tensor],
        slopes: Mapping[int, Tensor],
        betas: Mapping[int, Tensor],
        mix: Tensor,
        seen: dict[int, Tensor] | None = None,
    ) -> tuple[Linear, Tensor]:
        """The linear function below the mixture of rows of each, and its right-hand side."""
        planes = dict(bounds.planes)
        for i, p in self.relus.items():
            box, fixed = bounds.boxes[p], bounds.planes[i]
            open_ = ((box.low < 0) & (box.high > 0))[:, None]
            own = torch.where(open_, slopes[i], fixed.below[0][:, None])
            planes[i] = Planes((own,), fixed.below_offset, fixed.above, fixed.above_offset)
        push = {p: -signs[p] * betas[p] for p in betas}
        share = self.share(which, mix)
        c, d = share @ self.c[which], (share @ self.d[which][:, :, None])[:, :, 0]
        c = c.reshape(len(which), 1, *self.graph.nodes[self.graph.output].shape)
        line = backward(bounds, self.graph.output, c, planes=planes, push=push, seen=seen)
        return line, d

    def whole_known(self, parts: Splits) -> Tensor:
        """`(N,)` bool: parts in which no sign is open any more."""
        none = torch.ones(len(parts), dtype=torch.bool)
        for p in self.relus.values():
            none &= ~((parts.low[p] < 0) & (parts.high[p] > 0)).flatten(1).any(1)
        return none

    def settle(self, parts: Splits, row: int, j: int) -> tuple[bool, Tensor]:
        """Refute an alternative where no sign is open; whether that worked, and the minimiser."""
        rows, which = torch.tensor([row]), torch.tensor([j])
        bounds = self.bounds(parts, rows)
        slopes = {i: v[row, j][None, None] for i, v in parts.slopes.items()}
        signs = {p: v[row][None, None] for p, v in parts.signs.items()}
        betas = {p: torch.zeros_like(v[row, j])[None, None] for p, v in parts.betas.items()}
        mix = parts.mix[row, j][None, None]
        line, _ = self.line(bounds, which, signs, slopes, betas, mix)
        found = solved(bounds, line.slope[0, 0], {p: v[row] for p, v in parts.signs.items()})
        if found is None:
            return False, bounds.region.centre[0]
        betas = {p: v[None, None] for p, v in found[1].items()}
        line, d = self.line(bounds, which, signs, slopes, betas, mix)
        for p, v in betas.items():
            parts.betas[p][row, j] = v[0, 0]
        value = self.lowered(bounds, line, d)[0, 0]
        parts.bound[row, j] = torch.maximum(parts.bound[row, j], value)
        return bool(value > 0), found[0]
