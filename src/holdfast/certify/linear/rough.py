"""Linear bounds measured from a reference: in float32 for a first look, in float64 to stay.

Every value is measured from a reference: the centre of the input box, sent forward in float64,
and behind a bend the middle between its planes. So there are no offsets but those: coefficients
multiply only how far values may lie from there, and what they lose by rounding is a small share
of the width of the bound, at most gamma times the sum of absolute products. Behind a bend
`|a| t` remains with t half the gap between the planes, and to it whatever rounding may lose per
absolute coefficient is added, here and in the model (`reference.py`). All that is summed then
has one sign, so that the sums themselves are wrong by a small share of the width as well. In
float32 that is enough to tell most signs. Products that fall below its range are covered by a
constant; numbers that leave it at the other end make bounds that are not finite and prove
nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.network.bends import Bend
from holdfast.certify.network.operators import Operator
from holdfast.ops.interval import Index, gamma

WIDE = 128  # numbers in a value below which starting operations costs more than products
SUMMED = 256  # products summed in float32 at once
NONE = torch.empty(0)


def worthwhile(bounds: Bounds) -> bool:
    """Whether values are wide enough to gain, and float32 products are what they seem.

    They are not where torch may multiply in a shorter format; the region must be a box.
    """
    if not bounds.region.boxed or bounds.overflow.device.type != "cpu":
        return False
    kinds = {getattr(torch.backends.mkldnn, kind).fp32_precision for kind in ("matmul", "conv")}
    exact = kinds <= {"none", "ieee"} and torch.get_float32_matmul_precision() == "highest"
    plain = os.environ.get("DNNL_DEFAULT_FPMATH_MODE", "STRICT").upper() == "STRICT"
    return exact and plain and max(prod(node.shape) for node in bounds.graph.nodes) >= WIDE


class Middle(NamedTuple):
    """`mean a + tilt |a|`: coefficients behind a bend, one of each per parent."""

    mean: tuple[Tensor, ...]
    tilt: tuple[Tensor, ...]

    def each(self, change: Callable[[Tensor], Tensor]) -> Middle:
        """With each of the tensors changed alike."""
        return Middle(tuple(map(change, self.mean)), tuple(map(change, self.tilt)))


@dataclass(frozen=True, eq=False)
class Ready(Bounds):
    """Bounds ready for coefficients of one type; there are no boxes and no planes.

    `errors` hold what an absolute coefficient costs, and that of the input its half widths.

    Args:
        middles: of each bend.
        gaps: of each bend, by how much more an absolute coefficient may raise a value than lower.
        lost: `(B,)` what underflow may lose in all.
        value: `(B, n)` float64, the reference of the last node.
    """

    middles: dict[int, Middle] = field(default_factory=dict)
    gaps: dict[int, Tensor] = field(default_factory=dict)
    lost: Tensor = NONE
    value: Tensor = NONE

    def take(self, rows: Index) -> Ready:
        """What is known of a selection of rows."""
        return replace(
            self,
            middles={i: middle.each(lambda v: v[rows]) for i, middle in self.middles.items()},
            gaps={i: gap[rows] for i, gap in self.gaps.items()},
            errors=[None if error is None else error[rows] for error in self.errors],
            lost=self.lost[rows],
        )


def lower(bounds: Ready, start: int, a: Tensor, first: Tensor | None) -> tuple[Tensor, Tensor]:
    """`(B, m)`: numbers below `a . (value - reference)`, and above.

    Those above come with the same coefficients, moved up by the gaps between the planes: they
    are sound, but not the best; without gaps they say nothing.

    Args:
        bounds: ready for the type of the coefficients.
        start: position of the value asked about.
        a: `(B, m, *shape)`.
        first: the coefficients on the only parent of `start`, if already known; these and `a`
            may be changed.
    """
    lost = bounds.lost[:, None].repeat(1, a.shape[1])
    return _lower(bounds, start, lost, {start: a}, first)


def single(bounds: Ready, start: int, at: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """The same for single coordinates of a value: at the value itself one coefficient counts.

    Args:
        bounds: ready for the type of the coefficients.
        start: position of the value asked about, with one parent.
        at: `(B, m)` coordinates.
        first: `(B, m, ...)` the coefficients on the parent, of a coordinate or its negative; they
            may be changed.
    """
    (parent,), cost = bounds.graph.nodes[start].parents, bounds.errors[start]
    lost = bounds.lost[:, None].expand(at.shape)
    own = torch.zeros_like(lost) if cost is None else cost.flatten(1).gather(1, at)
    return _lower(bounds, parent, lost + own, {parent: first}, None)


def _lower(
    bounds: Ready, start: int, found: Tensor, waiting: dict[int, Tensor], first: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Both ends for coefficients that wait at a value, with what they cost so far."""
    nodes, dtype = bounds.graph.nodes, waiting[start].dtype
    more = torch.zeros_like(found) if bounds.gaps else torch.full_like(found, torch.inf)
    for i in range(start, -1, -1):
        if i not in waiting:
            continue
        node, a, cost = nodes[i], waiting.pop(i), bounds.errors[i]
        op, size = node.operator, None if cost is None else a.abs_() if 0 == i < start else a.abs()
        if size is not None and cost is not None:
            found += _sum(size, cost)
        if isinstance(op, Bend) and size is not None:
            middle = bounds.middles[i]
            if i in bounds.gaps:
                more += _sum(size, bounds.gaps[i])
            pairs = zip(middle.mean, middle.tilt, strict=True)
            parts = [(a * mean[:, None]).addcmul_(size, tilt[:, None]) for mean, tilt in pairs]
        elif isinstance(op, Operator):
            lead = a.shape[:2]
            if first is not None and i == start:
                parts = [first]
            else:
                parts = [p.unflatten(0, lead) for p in op.back(a.flatten(0, 1))]
        else:
            continue
        for parent, part in zip(node.parents, parts, strict=True):
            waiting[parent] = waiting[parent] + part if parent in waiting else part
    sums = SUMMED + 2 * len(nodes) + max(prod(node.shape) for node in nodes) // SUMMED
    share = 1 + 2 * gamma(sums + 8, torch.finfo(dtype).eps / 2)
    return -found * share, (found + more) * share


def _sum(size: Tensor, cost: Tensor) -> Tensor:
    """`(B, m)` float64: products of positive numbers, few at a time in float32."""
    left, right = size.flatten(2), cost.flatten(1)[:, None]
    parts = zip(left.split(SUMMED, 2), right.split(SUMMED, 2), strict=True)
    found = [(v @ x.mT).squeeze(1).double() for x, v in parts]
    return torch.stack(found).sum(0) if len(found) > 1 else found[0]
