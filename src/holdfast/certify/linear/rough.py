"""Linear bounds in float32: enough to tell most signs, at a third of the cost.

They are as sound as the others, only looser: every rounding of a step is bounded by gamma times
the sum of absolute products, which is at most the absolute coefficients times the masses of the
node, and every number rounded on its way to float32 adds one more rounding. Products that fall
below the range of float32 are covered by `FLOOR`; numbers that leave it at the other end make
bounds that are not finite and prove nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.certify.linear.coefficients import Bounds, Carried, Linear, dot
from holdfast.certify.network.graph import Node
from holdfast.certify.network.operators import Operator
from holdfast.ops.interval import Index, gamma

UNIT = 2.0**-24  # half the distance between 1 and the next float32
FLOOR = 2.0**-100  # far above what one underflow may lose, 2^-126
WIDE = 128  # numbers in a value below which starting operations costs more than products
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


@dataclass(frozen=True, eq=False)
class Single(Bounds):
    """Bounds ready for coefficients in float32.

    `errors` hold what rounding may lose per absolute coefficient, here and in the model; there
    are no boxes, so that every bend must be passed.

    Args:
        centre: `(B, n)` of the input's boxes.
        reach: `(B, n)` their half widths, and what rounding may lose per absolute coefficient.
        lost: `(B,)` what underflow may lose in all.
    """

    centre: Tensor = NONE
    reach: Tensor = NONE
    lost: Tensor = NONE

    def take(self, rows: Index) -> Single:
        """What is known of a selection of rows."""
        return replace(
            self,
            planes={i: planes.take(rows) for i, planes in self.planes.items()},
            errors=[None if error is None else error[rows] for error in self.errors],
            centre=self.centre[rows], reach=self.reach[rows], lost=self.lost[rows],
        )  # fmt: skip


def roughly(bounds: Bounds, upto: int) -> Single:
    """The same bounds, ready for coefficients in float32 on the nodes up to one."""
    graph = bounds.graph.single
    low, high = bounds.region.box.flat()
    size = torch.maximum(low.abs(), high.abs())
    centre, n = (low + high) / 2, low.shape[1]
    half = torch.maximum(high - centre, centre - low)
    reach = half + 4 * gamma(n + 8, UNIT) * size + FLOOR
    lost = FLOOR * (n + 8) * (1 + size.amax(1))
    errors: list[Tensor | None] = [None]
    for i, node in enumerate(graph.nodes[: upto + 1]):
        if node.is_input:
            continue
        parents = [bounds.boxes[p].magnitude.flatten(1).sum(1) for p in node.parents]
        sums = 1 + torch.stack(parents).sum(0)
        mass, error = bounds.masses[i], bounds.errors[i]
        count = prod(node.shape)
        lost = lost + FLOOR * ((count + 2) * sums + mass.flatten(1).sum(1))
        weight = gamma(count + 16 + 2 * len(graph.nodes), UNIT) * mass
        weight = weight if error is None else weight + error
        errors.append((weight + FLOOR * sums.reshape(-1, *[1] * (mass.dim() - 1))).float())
    planes = {i: p.each(_rounded) for i, p in bounds.planes.items() if i <= upto}
    return Single(
        graph, bounds.region, [], planes, [], errors, bounds.overflow, [],
        centre.float(), reach.float(), lost,
    )  # fmt: skip


def _rounded(values: Tensor) -> Tensor:
    """In float32, and zero only where it was: by that, neurons that are off are told."""
    found = values.float()
    return found.masked_fill_((found == 0) & (values != 0), torch.finfo(torch.float32).tiny)


class Rough(Carried):
    """What has been gathered on the way back, in float32."""

    sized: ClassVar[bool] = False

    @torch.no_grad()
    def charge(self, i: int, node: Node, a: Tensor, size: Tensor) -> None:
        """Add what rounding may lose at a node."""
        error = self.bounds.errors[i]
        if error is None or (isinstance(node.operator, Operator) and node.operator.exact):
            return
        self.error = self.error + dot(a.abs(), error)

    def finish(self, a: Tensor) -> Linear:
        """The gathered function; twice the error covers the roundings of the error itself."""
        return Linear(a, self.offset, 2 * self.error)


def lower(bounds: Single, line: Linear) -> Tensor:
    """`(B, m)`: numbers below functions whose slopes are float32 on each row's box."""
    a = line.slope.flatten(2)
    value = dot(a, bounds.centre) - dot(a.abs(), bounds.reach)
    value, offset, slack = value.double(), line.offset.double(), line.slack.double()
    found = value + offset - slack - 2 * bounds.lost[:, None]
    return found - UNIT * (value.abs() + offset.abs() + slack)
