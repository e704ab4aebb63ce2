"""Bounds of parts of a region in which some neurons have a known sign."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cached_property
from math import inf

import torch
from torch import Tensor

from holdfast.certify.linear.backward import backward
from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.hull import First
from holdfast.certify.linear.refine import Slopes
from holdfast.certify.linear.region import Region
from holdfast.certify.network.bends import Planes
from holdfast.certify.network.graph import Graph
from holdfast.certify.search.climb import Climb
from holdfast.certify.search.leaf import solved
from holdfast.certify.search.pairs import Mixtures, Pairs
from holdfast.certify.search.splits import Splits
from holdfast.certify.search.unsafe import Unsafe
from holdfast.ops.interval import Box
from holdfast.ops.linear import relu_lines

PRESSES, LASTING = 300, 0.98  # evaluations of a long ascent; each step, of the one before
SURE = 1e-5  # a bound in float32 above which it ends


class Signed:
    """Bounds parts of a region, starting from what is known of the whole.

    Args:
        graph: the network.
        root: what is known of the whole region: one row.
        unsafe: the alternatives.
        renew: whether splits shrink the boxes of the neurons behind them.
        slopes: with which neurons are bounded anew; those of least area unless given.
    """

    def __init__(
        self, graph: Graph, root: Bounds, unsafe: Unsafe, *, renew: bool,
        slopes: dict[int, Slopes] | None = None,
    ) -> None:  # fmt: skip
        self.graph, self.root, self.unsafe, self.mixtures = graph, root, unsafe, Mixtures(unsafe)
        self.slopes, self.renew = slopes, renew
        seen: dict[int, Tensor] = {}
        asked = unsafe.c.reshape(1, -1, *graph.nodes[graph.output].shape)
        backward(root, graph.output, asked, seen=seen)
        self.scale = {i: float(v.abs().mean()) + 1e-6 for i, v in seen.items()}
        nodes = graph.nodes  # it may end before some are used: those that outputs depend on
        self.relus = {i: nodes[i].parents[0] for i in sorted(seen) if nodes[i].is_relu}

    @cached_property
    def first(self) -> dict[int, First]:
        """By position of a ReLU, open neurons above which planes may speak of what they see."""
        return First.of(self.graph, self.relus, self.root.boxes)

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
        mix = torch.zeros(1, count, self.mixtures.most, dtype=torch.float64)
        none, rest = torch.zeros(1, dtype=torch.long), torch.zeros_like(bound)
        return Splits(
            bound, mix, signs, low, high, slopes, betas, none, {}, none, none, {}, {}, rest
        )

    def region(self, count: int) -> Region:
        """The region, for several parts."""
        return self.root.region.take(torch.zeros(count, dtype=torch.long))

    def renewed(self, parts: Splits, index: Tensor) -> tuple[Splits, Tensor]:
        """Parts with boxes bounded anew, and `(N,)` bool where nothing lies in one.

        Args:
            parts: of which one neuron each was split after its boxes were bounded.
            index: `(N,)` these neurons, counted over all ReLUs.
        """
        if not self.renew:
            return parts, torch.zeros(len(parts), dtype=torch.bool)
        known = {p: Box(parts.low[p], parts.high[p]) for p in parts.signs}
        ends = torch.tensor([parts.signs[p][0].numel() for p in parts.signs]).cumsum(0)
        after = torch.tensor(list(parts.signs))[torch.bucketize(index, ends, right=True)]
        bounds = propagate(
            self.graph, self.region(len(parts)), "crown", known, after=after, slopes=self.slopes
        )
        empty = torch.zeros(len(parts), dtype=torch.bool)
        low, high = {}, {}
        for p, sign in parts.signs.items():
            down, up = bounds.boxes[p]
            empty |= (((sign > 0) & (up < 0)) | ((sign < 0) & (down > 0))).flatten(1).any(1)
            low[p], high[p] = down, up
        return replace(parts, low=low, high=high), empty

    def bounds(self, parts: Splits, rows: Tensor) -> Bounds:
        """What is known of some parts."""
        n, none = len(rows), torch.zeros_like(rows)
        boxes = [box if p in parts.low else box.take(none) for p, box in enumerate(self.root.boxes)]
        for p in parts.low:
            boxes[p] = Box(parts.low[p][rows], parts.high[p][rows])
        planes = {i: p.take(none) for i, p in self.root.planes.items() if i not in self.relus}
        hulls = {i: self.first[i].hull(v[rows], parts.roofs[i][rows])
                 for i, v in parts.shares.items()}  # fmt: skip
        for i, p in self.relus.items():
            lines = relu_lines(boxes[p])
            above, offset = lines.upper_slope, lines.upper_offset
            if i in hulls:
                above, offset = hulls[i].instead(boxes[p], above, offset)
            planes[i] = Planes((lines.lower_slope,), torch.zeros_like(offset), (above,), offset)
        errors = [None if e is None else e.expand(n, *e.shape[1:]) for e in self.root.errors]
        return Bounds(
            self.graph, self.region(n), boxes, planes, [p.expand(n) for p in self.root.peaks],
            errors, self.root.overflow.expand(n), hulls=hulls,
        )  # fmt: skip

    def pairs(self, parts: Splits, rows: Tensor, which: Tensor) -> Pairs:
        """Parts `rows` with alternatives `which`; slopes, multipliers and mixtures are copies."""
        return Pairs(
            self.bounds(parts, rows), self.mixtures, self.relus, which,
            {p: v[rows][:, None] for p, v in parts.signs.items()},
            {i: v[rows, which][:, None] for i, v in parts.slopes.items()},
            {p: v[rows, which][:, None] for p, v in parts.betas.items()},
            parts.mix[rows, which][:, None], parts.slack[rows, which][:, None],
        )  # fmt: skip

    def improve(self, parts: Splits, steps: int, deadline: float = inf) -> Tensor:
        """`(N, J, ...)` slopes of the inputs in the last bounds; all is improved in place.

        Args:
            parts: what to bound; the best of what is tried is kept.
            steps: evaluations.
            deadline: of `time.monotonic()`, after which no further one begins.
        """
        rows, which = parts.open.nonzero().unbind(1)
        pairs = self.pairs(parts, rows, which)
        Climb(pairs, self.scale).run(
            steps, lambda seen: bool((seen > 0).all()) or time.monotonic() > deadline
        )
        line, d = pairs.line()
        best = pairs.below(line, d).nan_to_num(-torch.inf, torch.inf, -torch.inf)
        for store, now in ((parts.slopes, pairs.slopes), (parts.betas, pairs.betas)):
            for i, v in now.items():
                store[i][rows, which] = v[:, 0]
        parts.mix[rows, which], parts.slack[rows, which] = pairs.mix[:, 0], line.slack[:, 0]
        parts.bound[rows, which] = torch.maximum(parts.bound[rows, which], best[:, 0])
        found = line.slope[:, 0]
        slope = found.new_zeros(*parts.bound.shape, *found.shape[1:])
        slope[rows, which] = found
        return slope

    def once(self, parts: Splits) -> dict[int, Tensor]:
        """Improve bounds in place by one evaluation; coefficients `(N, J, ...)` at each ReLU."""
        rows, which = parts.open.nonzero().unbind(1)
        pairs = self.pairs(parts, rows, which)
        seen: dict[int, Tensor] = {}
        line, d = pairs.line(seen)
        found = pairs.below(line, d)[:, 0].nan_to_num(-torch.inf, torch.inf, -torch.inf)
        parts.slack[rows, which] = line.slack[:, 0]
        parts.bound[rows, which] = torch.maximum(parts.bound[rows, which], found)
        every = {}
        for i, a in seen.items():
            every[i] = a.new_zeros(*parts.bound.shape, *a.shape[2:])
            every[i][rows, which] = a[:, 0]
        return every

    def whole_known(self, parts: Splits) -> Tensor:
        """`(N,)` bool: parts in which no sign is open any more."""
        none = torch.ones(len(parts), dtype=torch.bool)
        for p in self.relus.values():
            none &= ~((parts.low[p] < 0) & (parts.high[p] > 0)).flatten(1).any(1)
        return none

    def settle(self, parts: Splits, row: int, j: int) -> tuple[bool, Tensor]:
        """Refute an alternative where no sign is open; whether that worked, and the minimiser."""
        pairs = self.pairs(parts, torch.tensor([row]), torch.tensor([j]))
        for beta in pairs.betas.values():
            beta.zero_()
        line, _ = pairs.line()
        signs = {p: v[row] for p, v in parts.signs.items()}
        found = solved(pairs.bounds, line.slope[0, 0], signs)
        if found is None:
            return False, pairs.bounds.region.centre[0]
        for p, beta in found[1].items():
            pairs.betas[p][0, 0] = parts.betas[p][row, j] = beta
        value = pairs.below(*pairs.line())[0, 0]
        if self.root.region.norm == 2 and not value > 0:  # no linear program sees this ball
            Climb(pairs, self.scale).run(PRESSES, lambda seen: bool((seen > SURE).all()), LASTING)
            value = pairs.below(*pairs.line())[0, 0]
        parts.bound[row, j] = torch.maximum(parts.bound[row, j], value)
        return bool(value > 0), found[0]
