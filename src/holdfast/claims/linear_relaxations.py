"""Two planes hold every function that bends between them; around a ReLU with the least area."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.certify.linear.crown import CROWN
from holdfast.certify.network import bends
from holdfast.certify.network.bends import Bend, Choice, Planes
from holdfast.certify.network.curves import Curve, Piece
from holdfast.certify.network.functions import CURVES, elu, power, reciprocal
from holdfast.certify.network.products import Product
from holdfast.certify.network.waves import COSINE, SINE
from holdfast.claims.harness import Claim, Trial
from holdfast.ops.interval import Box
from holdfast.ops.linear import Lines, relu_lines
from holdfast.testing.worlds import TinyReLU
from holdfast.threats.norms import LInf

BOXES, POINTS = 2000, 200
FEW = 300  # boxes and points of each of the many functions


def _crossing(box: Box) -> Tensor:
    return (box.low < 0) & (box.high > 0)


def _wrong_end(box: Box) -> Lines:
    """Bug: the slope below is chosen by the wrong end; still sound, but not tight."""
    lines, cross = relu_lines(box), _crossing(box)
    other = (box.high < -box.low).to(box.low.dtype)
    return lines._replace(lower_slope=torch.where(cross, other, lines.lower_slope))


def _parallel(box: Box) -> Lines:
    """Bug: the slope below is that of the chord, as in older bounds; still sound."""
    lines = relu_lines(box)
    return lines._replace(lower_slope=lines.upper_slope)


def _one_end(box: Box) -> Lines:
    """Bug: the line above starts at the lower end and is too flat to reach the upper one."""
    lines = relu_lines(box)
    slope = torch.where(_crossing(box), 0.9 * lines.upper_slope, lines.upper_slope)
    return lines._replace(upper_slope=slope)


def _unlifted(box: Box) -> Lines:
    """Bug: the chord as floats give it, which may cut through the function at an end."""
    lines = relu_lines(box)
    offset = torch.where(_crossing(box), -lines.upper_slope * box.low, 0.0)
    return lines._replace(upper_offset=offset)


def _always_crossing(box: Box) -> Lines:
    """Bug: also where the sign is known the line below is zero."""
    lines = relu_lines(box)
    return lines._replace(lower_slope=torch.where(box.low >= 0, 0.0, lines.lower_slope))


def _swapped(self: Product, boxes: Sequence[Box], choice: Choice | None = None) -> Planes:
    """Bug: the planes above the product are those of the other corners."""
    x, y = boxes
    found = PLANES(self, boxes, choice)
    return found._replace(above=(y.low, x.low), above_offset=-x.low * y.low)


def _off_the_point(self: Curve, piece: Piece, k: Tensor, sign: int) -> tuple[Tensor, Tensor]:
    """Bug: the tangent is taken at the lower end instead of where its slope fits."""
    value = sign * self.function(piece.low) - k * piece.low
    return value, value.abs()


def _ends_only(self: Curve, piece: Piece, k: Tensor, sign: int) -> tuple[Tensor, Tensor]:
    """Bug: a convex piece is bounded at its ends, as if it were concave."""
    ends = [sign * self.function(x) - k * x for x in (piece.low, piece.high)]
    return torch.minimum(*ends), ends[0].abs()


PLANES = Product.planes
BENDS: dict[str, tuple[type[Bend], str, Any]] = {
    "swapped-planes-of-products": (Product, "planes", _swapped),
    "tangent-at-the-wrong-point": (Curve, "_tangent", _off_the_point),
    "convex-pieces-by-their-ends": (Curve, "_tangent", _ends_only),
}
MUTANTS: dict[str, Callable[[Box], Lines]] = {
    "slope-by-the-wrong-end": _wrong_end, "slope-of-the-chord": _parallel,
    "too-flat-above": _one_end, "no-lift": _unlifted, "zero-where-the-sign-is-known":
    _always_crossing,
}  # fmt: skip


def _boxes(seed: int, count: int = BOXES) -> Box:
    """Widths from 1e-7 to 50, on both sides of zero and across it."""
    g = torch.Generator().manual_seed(seed)
    width = 10 ** (-7 + 8.7 * torch.rand(count, generator=g, dtype=torch.float64))
    low = width * (2 * torch.rand(count, generator=g, dtype=torch.float64) - 1.5)
    return Box(low, low + width)


def _outside(box: Box, lines: Lines) -> float:
    """By how much the function leaves its lines, at 200 points of each interval."""
    share = torch.linspace(0, 1, POINTS, dtype=torch.float64)
    x = (box.low[:, None] + share * (box.high - box.low)[:, None]).clamp(max=box.high[:, None])
    below = lines.lower_slope[:, None] * x - x.relu()
    above = x.relu() - (lines.upper_slope[:, None] * x + lines.upper_offset[:, None])
    return float(torch.maximum(below, above).max())


def _excess(box: Box, lines: Lines) -> float:
    """Area between the lines over the least one of all slopes in [0, 1] and the chord, minus 1."""
    low, high, cross = box.low, box.high, _crossing(box)

    def area(slope: Tensor, top: Tensor, offset: Tensor) -> Tensor:
        return (top - slope) * (high**2 - low**2) / 2 + offset * (high - low)

    chord = high / (high - low)
    slopes = torch.linspace(0, 1, 101, dtype=torch.float64)[:, None]
    least = torch.where(cross, area(slopes, chord, -chord * low).amin(0), torch.zeros_like(low))
    own = area(lines.lower_slope, lines.upper_slope, lines.upper_offset)
    return float(((own - least) / (high - low) / box.magnitude).max())


def _leaves(bend: Bend, boxes: list[Box], g: torch.Generator) -> float:
    """By how much a bend leaves its planes, at random points, for several choices."""
    share = torch.rand(FEW // 3, len(boxes), 1, FEW, generator=g, dtype=torch.float64)
    xs = [b.low + share[:, i, 0] * (b.high - b.low) for i, b in enumerate(boxes)]
    y, worst = bend.value(xs), -torch.inf
    ends = [torch.rand(FEW, generator=g, dtype=torch.float64) for _ in range(2)]
    for choice in (None, Choice(*ends)):
        below, low, above, high = bend.planes(boxes, choice)
        under = sum((k * x for k, x in zip(below, xs, strict=True)), low)
        over = sum((k * x for k, x in zip(above, xs, strict=True)), high)
        size = 1 + y.abs() + (under - low).abs() + (over - high).abs()
        gap = torch.maximum(under - y, y - over) / size
        worst = max(worst, float(gap[gap.isfinite()].max()))
    return worst - 1e-15


def _bends(seed: int) -> float:
    """By how much any of the functions leaves its planes."""
    g = torch.Generator().manual_seed(seed)
    box, other = _boxes(seed, FEW), _boxes(seed + 1000, FEW)
    right = Box(0.01 + box.low.abs(), 0.01 + box.low.abs() + (box.high - box.low))
    worst = _leaves(Product(), [box, other], g)
    for curve in (*CURVES.values(), SINE, COSINE, reciprocal(), elu(1.0, 1.0, 1.0), power(3.0)):
        whole = curve.domain[0] == -torch.inf and type(curve) in (Curve, type(SINE))
        worst = max(worst, _leaves(curve, [box if whole else right], g))
    return worst


def trial(seed: int, mutant: str = "") -> Trial:
    """Random intervals for every function, and nets small enough to enumerate."""
    around = MUTANTS.get(mutant, relu_lines)
    box = _boxes(seed)
    out, loose = _outside(box, around(box)), _excess(box, around(box))
    kind, name, bug = BENDS.get(mutant, (Bend, "open", Bend.open))
    with patch.object(kind, name, bug):
        out = max(out, _bends(seed))
    below = False
    with patch.object(bends, "relu_lines", around):
        for radius in (0.01, 0.05, 0.1, 0.2):
            world = TinyReLU.make(seed=seed)
            found = CROWN()(world.model, world.x, world.goal, LInf(radius=radius)).margin
            below |= bool((found < world.worst(radius)).any())
    return Trial(max(out, 0.0), loose, out <= 0 and loose <= 1e-12 and not below)


CLAIM = Claim(
    paper="linear-relaxations",
    methods=("certifier:crown",),
    says="Lines hold the ReLU at 400,000 points, with the least area of all slopes, those of 22 "
    "functions and products hold them, and bounds lie above the margins that enumeration finds.",
    left="by how much the function leaves its lines (must be 0)",
    right="area above the least possible one, relative to the interval (at most 1e-12)",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=(*MUTANTS, *BENDS),
    seconds=3,
)
