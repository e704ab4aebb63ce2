"""A ReLU network over a box as a quadratic problem, and bounds from any multipliers of it.

All values stand in one vector v: the input, then the outputs of each ReLU. Each unit z has a
pre-activation p, affine in the values before it, and obeys `z >= 0`, `z >= p`, `z (z - p) = 0`, and
the triangle above. Whatever multipliers are put on these constraints, the Lagrangian lies below
the objective at every point of the network, and a quadratic form lies above its least eigenvalue.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.ops.interval import TINY, UNIT, gamma
from holdfast.ops.spectral import least_eigenvalue


@dataclass(frozen=True, eq=False)
class Problem:
    """Minimise `q . v + constant` over what the network can make of its inputs.

    Args:
        q: `(n,)` float64.
        constant: a number.
        inputs: how many of the n values are inputs; they come first.
        weight: `(N, n)`, pre-activations as `weight v + bias`, N = n - inputs.
        bias: `(N,)`.
        masses: sums of the absolute terms of which q, constant, weight and bias were made; their
            rounding is at most gamma of them.
        low: `(n,)` lower ends of the values.
        high: `(n,)` upper ends.
        below: `(N,)` lower ends of the pre-activations.
        above: `(N,)` upper ends.
        centre: `(inputs,)` of the ball, or None if the inputs fill their box.
        radius: of the ball.
        sums: number of roundings behind each weight.
    """

    q: Tensor
    constant: float
    inputs: int
    weight: Tensor
    bias: Tensor
    masses: tuple[Tensor, float, Tensor, Tensor]
    low: Tensor
    high: Tensor
    below: Tensor
    above: Tensor
    centre: Tensor | None = None
    radius: float = 0.0
    sums: int = 0

    @property
    def on(self) -> Tensor:
        """`(N,)` units that are their pre-activation everywhere."""
        return self.below >= 0

    @property
    def crossing(self) -> Tensor:
        """`(N,)` units whose sign is open."""
        return (self.below < 0) & (self.above > 0)

    @property
    def middle(self) -> Tensor:
        """`(n,)` centres of the values."""
        return (self.low + self.high) / 2

    @property
    def half(self) -> Tensor:
        """`(n,)` half widths, so that centre and half width hold both ends."""
        exact = torch.maximum(self.high - self.middle, self.middle - self.low)
        wide = torch.nextafter(exact, torch.full_like(exact, torch.inf))
        return torch.where(self.high > self.low, wide, exact)

    def chord(self) -> tuple[Tensor, Tensor]:
        """Slope and offset of the line above each open unit, lifted over its own rounding."""
        width = torch.where(self.crossing, self.above - self.below, torch.ones_like(self.below))
        slope = torch.where(self.crossing, self.above / width, torch.zeros_like(width))
        lift = torch.maximum(-slope * self.below, self.above * (1 - slope))
        lift = lift + 8 * UNIT * (self.above.abs() + self.below.abs()) + TINY
        return slope, torch.where(self.crossing, lift, torch.zeros_like(lift))

    def sizes(self) -> list[int]:
        """Numbers of multipliers: z >= 0, z >= p, z (z - p) = 0, the chord, the boxes, the ball."""
        units = len(self.bias)
        return [units, units, units, units, len(self.q), 1]

    def signed(self) -> Tensor:
        """Which multipliers must not be negative, and which are not used at all (NaN)."""
        one, none = torch.ones(len(self.bias), dtype=torch.float64), torch.nan
        off = self.above <= 0
        parts = [
            one.masked_fill(~self.crossing, none), one.masked_fill(self.on, 0.0).masked_fill(
                off, none), (0 * one).masked_fill(off, none), one.masked_fill(~self.crossing, none),
            torch.ones(len(self.q), dtype=torch.float64),
            torch.tensor([1.0 if self.centre is not None else none], dtype=torch.float64),
        ]  # fmt: skip
        return torch.cat(parts)

    def matrix(self, flat: Tensor, *, absolute: bool = False) -> Tensor:
        """`(n + 1, n + 1)`: the Lagrangian as a quadratic form of 1 and the values in half widths.

        Args:
            flat: multipliers, in the order of `sizes`.
            absolute: with every term in absolute value instead, which bounds its rounding.
        """
        zero, over, both, chord, box, ball = flat.split(self.sizes())
        q, weight, bias, centre = self.q, self.weight, self.bias, self.centre
        slope, offset = self.chord()
        minus = -1.0
        constant = torch.as_tensor(self.constant, dtype=q.dtype)
        middle, half = self.middle, self.half
        if absolute:
            zero, over, both, chord, box, ball = (
                p.abs() for p in (zero, over, both, chord, box, ball)
            )
            q, size, weight, bias = self.masses
            constant, middle, minus = torch.as_tensor(size, dtype=q.dtype), middle.abs(), 1.0
            centre = None if centre is None else centre.abs()
        first = self.inputs
        on_units = minus * zero + minus * over + chord + minus * both * bias
        pull = over + minus * slope * chord  # coefficients on the pre-activations
        linear = q + weight.T @ pull + torch.cat([q.new_zeros(first), on_units])
        start = constant + (pull * bias).sum() + minus * (chord * offset).sum()
        start = start + minus * box.sum()
        cross = minus * both[:, None] * weight / 2
        square = torch.zeros(len(q), len(q), dtype=q.dtype)
        square = torch.cat([square[:first], cross + square[first:]])
        square = square + square.T
        square = square + torch.diag(torch.cat([q.new_zeros(first), both]))
        if centre is not None:
            inside = torch.cat([ball.expand(first), q.new_zeros(len(bias))])
            square = square + torch.diag(inside)
            linear = linear + torch.cat([minus * 2 * ball * centre, q.new_zeros(len(bias))])
            start = start + (ball * (centre.square().sum() + minus * self.radius**2)).sum()
        row = half * (linear / 2 + square @ middle)
        corner = start + (linear * middle).sum() + middle @ square @ middle
        inner = half[:, None] * square * half + torch.diag(box)
        return torch.cat(
            [torch.cat([corner[None], row])[None], torch.cat([row[:, None], inner], 1)]
        )

    def bound(self, flat: Tensor) -> float:
        """A number below the minimum, from any multipliers; their signs are seen to.

        With S the form, t any number and E the corner, `S >= t + (n + 1) min(0, least eigenvalue
        of S - t E)` at every point, since 1 and the n values in half widths have a squared length
        of at most n + 1. The rounding of S itself is bounded by gamma times its absolute terms.
        """
        sign = self.signed()
        safe = torch.where(sign.isnan() | ~flat.isfinite(), 0.0, flat)
        safe = torch.where(sign > 0, safe.clamp(min=0), safe)
        form = self.matrix(safe)
        n = len(form)
        wrong = (
            2
            * gamma(self.sums + 4 * n + 64)
            * torch.linalg.matrix_norm(self.matrix(safe, absolute=True))
        )
        best = -torch.inf
        if not bool(form.isfinite().all()):
            return best
        inner = form[1:, 1:] + 1e-13 * form.diagonal().abs().amax() * torch.eye(n - 1).to(form)
        solved = form[0, 0] - form[0, 1:] @ torch.linalg.lstsq(inner, form[0, 1:, None])[0][:, 0]
        for t in (float(solved), float(solved) - 1e-7 * (1 + abs(float(solved)))):
            less = form.clone()
            less[0, 0] -= t
            eigen = float(least_eigenvalue(less))
            lost = n * (
                max(0.0, -eigen) + float(wrong) + 4 * UNIT * (abs(t) + abs(float(less[0, 0])))
            )
            value = t - lost * (1 + 1e-12) - TINY
            best = value if value > best else best  # false for NaN
        return best
