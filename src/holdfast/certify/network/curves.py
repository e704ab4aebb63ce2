"""Planes around smooth and kinked functions of one number, from where they curve which way.

Any slope k is sound with the offset `min (f(x) - k x)` over the interval, so slopes may be found
roughly as long as this minimum is bounded rightly. It is, piece by piece between the points
where the curvature turns: on a concave piece it lies at an end; on a convex piece the tangent at
any point c stays below, so that a point found by bisection gives a bound that is exact up to the
last step of the bisection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.certify.network.bends import Bend, Choice, Planes
from holdfast.ops.envelope import SAMPLES, narrow, slopes
from holdfast.ops.interval import TINY, Box

OWN = 2.0**-45  # what evaluating in float64 may lose, relative to the terms: 256 half units
STEPS = 16  # of a bisection; each halves what is lost twice
LINEAR, CONVEX, CONCAVE = 0, 1, -1


class Piece(NamedTuple):
    """A part of an interval on which a function curves one way.

    Args:
        low: its lower end.
        high: its upper end; where the interval has no such part both ends are a point of it.
        bend: CONVEX, CONCAVE or LINEAR, one for all or one for each coordinate.
        number: which piece of the function it is.
    """

    low: Tensor
    high: Tensor
    bend: int | Tensor
    number: int


@dataclass(frozen=True, eq=False)
class Curve(Bend):
    """A function of one number, given by its values, slopes and the sense in which it curves.

    Args:
        function: values, accurate to a few units in float64.
        slope: derivative on a piece, right at both of its ends.
        knots: where pieces meet, rising.
        bends: of each piece CONVEX, CONCAVE or LINEAR.
        domain: open interval where the function is defined.
        rises: 1 if it never falls, -1 if it never rises, 0 otherwise.
        ends: limits of its values in real arithmetic.
        scale: least size by which the model's rounding is measured, from the argument's.
        half_units: of that rounding.
    """

    function: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor, int], Tensor]
    knots: tuple[float, ...] = ()
    bends: tuple[int, ...] = (CONVEX,)
    domain: tuple[float, float] = (-torch.inf, torch.inf)
    rises: int = 0
    ends: tuple[float, float] = (-torch.inf, torch.inf)
    scale: Callable[[Tensor], Tensor] = torch.zeros_like
    half_units: int = 16

    @property
    def roundings(self) -> int:
        """Relative error of the model's own result, in half units of its last place."""
        return self.half_units

    @property
    def limits(self) -> tuple[float, float]:
        """Zero where values are not negative; a kernel may round past other ends."""
        return 0.0 if self.ends[0] == 0 else -torch.inf, torch.inf

    def value(self, xs: Sequence[Tensor]) -> Tensor:
        return self.function(xs[0])

    def mass(self, boxes: Sequence[Box], box: Box) -> Tensor:
        return torch.maximum(box.magnitude, self.scale(boxes[0].magnitude))

    def reach(self, boxes: Sequence[Box], box: Box) -> Tensor:
        # A slope between samples is at most the height of the box over their distance.
        x, width = boxes[0].magnitude, boxes[0].high - boxes[0].low
        steep = (box.high - box.low) * (SAMPLES - 1) / width.clamp(min=TINY)
        steep = torch.where(narrow(boxes[0]), torch.zeros_like(steep), steep)
        return 2 * box.magnitude + 4 * steep * x

    def pieces(self, box: Box) -> Iterator[Piece]:
        """The parts of each interval, from below."""
        ends = [box.low, *(box.low.clamp(min=k).minimum(box.high) for k in self.knots), box.high]
        for i, bend in enumerate(self.bends):
            yield Piece(ends[i], ends[i + 1], bend, i)

    def box(self, boxes: Sequence[Box]) -> Box:
        known, box = self._inside(boxes[0])
        if self.rises:
            ends = (box.low, box.high) if self.rises > 0 else (box.high, box.low)
            low, high = (self.function(end) for end in ends)
            least = self.scale(box.magnitude)
            low = low - OWN * torch.maximum(low.abs(), least) - TINY
            high = high + OWN * torch.maximum(high.abs(), least) + TINY
        else:
            flat = torch.zeros_like(box.low)
            low, high = self._least(box, flat, 1), -self._least(box, flat, -1)
        low, high = low.clamp(min=self.ends[0]), high.clamp(max=self.ends[1])
        return Box(_unless(known, low), _unless(known, high))

    def planes(self, boxes: Sequence[Box], choice: Choice | None = None) -> Planes:
        if bool(narrow(boxes[0]).all()):
            flat, (low, high) = torch.zeros_like(boxes[0].low), self.box(boxes)
            below, above = (flat, flat) if choice is None else (flat * c for c in choice)
            return Planes((below,), low, (above,), high)
        known, box = self._inside(boxes[0])
        found = []
        for sign, share in zip((1, -1), choice or (None, None), strict=True):
            first, middle, last = slopes(self.function, box, sign)
            k = middle if share is None else first + share.clamp(0, 1) * (last - first)
            found += [_unless(known, sign * k), _unless(known, sign * self._least(box, k, sign))]
        return Planes((found[0],), found[1], (found[2],), found[3])

    def start(self, boxes: Sequence[Box]) -> Choice:
        known, box = self._inside(boxes[0])
        shares = []
        for sign in (1, -1):
            first, middle, last = slopes(self.function, box, sign)
            free = last > first
            share = (middle - first) / torch.where(free, last - first, torch.ones_like(last))
            shares.append(torch.where(free & known, share.clamp(0, 1), torch.full_like(first, 0.5)))
        return Choice(*shares)

    def _inside(self, box: Box) -> tuple[Tensor, Box]:
        """Where the box is finite and within the domain, and a box that is so everywhere."""
        low, high = self.domain
        known = (box.low > low) & (box.high < high) & box.low.isfinite() & box.high.isfinite()
        safe = torch.full_like(box.low, 1.0)  # in the domain of every function here
        return known, Box(torch.where(known, box.low, safe), torch.where(known, box.high, safe))

    def _least(self, box: Box, k: Tensor, sign: int) -> Tensor:
        """A number below `sign f(x) - k x` on the whole interval; differentiable in k."""
        least, mass = torch.full_like(k, torch.inf), self.scale(box.magnitude)
        for piece in self.pieces(box):
            low, high, bend, _ = piece
            ends = [sign * self.function(x) for x in (low, high)]
            found = torch.minimum(ends[0] - k * low, ends[1] - k * high)
            if isinstance(bend, Tensor) or bend == sign:
                touching, size = self._tangent(piece, k, sign)
                convex = torch.as_tensor(bend == sign, device=k.device)
                found = torch.where(convex & (low < high), touching, found)
                mass = torch.maximum(mass, torch.where(low < high, size, mass))
            mass = torch.maximum(mass, torch.maximum(ends[0].abs(), ends[1].abs()))
            least = torch.minimum(least, found)
        return least - OWN * (mass + k.detach().abs() * box.magnitude) - TINY

    def _tangent(self, piece: Piece, k: Tensor, sign: int) -> tuple[Tensor, Tensor]:
        """A number below `sign f(x) - k x` on a convex piece, and the size of its terms."""
        low, high, _, number = piece
        with torch.no_grad():
            a, b = low, high
            for _ in range(STEPS):
                c = (a + b) / 2
                falls = sign * self.slope(c, number) < k
                a, b = torch.where(falls, c, a), torch.where(falls, b, c)
            c = (a + b) / 2
            rise = sign * self.slope(c, number) - k
            off = rise.clamp(min=0) * (c - low) - rise.clamp(max=0) * (high - c)
            value = sign * self.function(c)
            # The slope is rounded as well.
            size = value.abs() + (rise.abs() + 2 * k.abs()) * (high - low)
        return value - k * c - off, size


def _unless(known: Tensor, value: Tensor) -> Tensor:
    """The value, or NaN where nothing is known, so that nothing behind it is either."""
    return torch.where(known, value, torch.full_like(value, torch.nan))
