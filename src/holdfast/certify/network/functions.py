"""The functions that networks use, each with its slope, its turning points and its limits.

The turning points that have no closed form were found to 60 digits as the only zeros of the second
derivative. `scale` and `half_units` say how far the kernels of torch may lie from the function;
tests measure them against float64 on dense grids.
"""

from __future__ import annotations

from math import inf, pi, sqrt

import torch
from torch import Tensor

from holdfast.certify.network.curves import CONCAVE, CONVEX, LINEAR, Curve
from holdfast.ops.interval import Box

GELU = sqrt(2 / pi), 0.044715
DIP = (CONCAVE, CONVEX, CONCAVE)  # functions like silu
S_SHAPE = (CONVEX, CONCAVE)


def argument(x: Tensor) -> Tensor:
    """Roundings are measured by the argument where it is larger than the value."""
    return x


def _density(x: Tensor) -> Tensor:
    return torch.exp(-x * x / 2) / sqrt(2 * pi)


def _normal(x: Tensor) -> Tensor:
    found: Tensor = torch.special.erfc(-x / sqrt(2)) / 2
    return found


def _bow(x: Tensor) -> tuple[Tensor, Tensor]:
    """The argument of the tanh in the tanh form of gelu, and its slope."""
    c, d = GELU
    return c * (x + d * x**3), c * (1 + 3 * d * x * x)


def _gelu_tanh(x: Tensor) -> Tensor:
    return x * torch.sigmoid(2 * _bow(x)[0])


def _gelu_tanh_slope(x: Tensor, _: int) -> Tensor:
    u, rise = _bow(x)
    up, down = torch.sigmoid(2 * u), torch.sigmoid(-2 * u)
    return up + 2 * x * rise * up * down


def _logistic_slope(x: Tensor, _: int) -> Tensor:
    return torch.sigmoid(x) * torch.sigmoid(-x)


def _softplus(x: Tensor) -> Tensor:
    return x.clamp(min=0) + torch.log1p(torch.exp(-x.abs()))


def _mish_slope(x: Tensor, _: int) -> Tensor:
    t = torch.tanh(_softplus(x))
    return t + x * (1 - t) * (1 + t) * torch.sigmoid(x)


CURVES: dict[str, Curve] = {
    "exp": Curve(torch.exp, lambda x, _: torch.exp(x), rises=1, ends=(0, inf)),
    "expm1": Curve(torch.expm1, lambda x, _: torch.exp(x), rises=1, ends=(-1, inf)),
    "log": Curve(torch.log, lambda x, _: 1 / x, bends=(CONCAVE,), domain=(0, inf), rises=1),
    "log1p": Curve(
        torch.log1p, lambda x, _: 1 / (1 + x), bends=(CONCAVE,), domain=(-1, inf), rises=1
    ),
    "sqrt": Curve(
        torch.sqrt, lambda x, _: 0.5 / torch.sqrt(x), bends=(CONCAVE,), domain=(-5e-324, inf),
        rises=1, ends=(0, inf),
    ),
    "rsqrt": Curve(
        torch.rsqrt, lambda x, _: -0.5 * torch.rsqrt(x) / x, domain=(0, inf), rises=-1,
        ends=(0, inf),
    ),
    "square": Curve(torch.square, lambda x, _: 2 * x, ends=(0, inf), half_units=2),
    "sigmoid": Curve(
        torch.sigmoid, _logistic_slope, knots=(0,), bends=S_SHAPE, rises=1, ends=(0, 1)
    ),
    "tanh": Curve(
        torch.tanh, lambda x, _: 4 * torch.sigmoid(2 * x) * torch.sigmoid(-2 * x), knots=(0,),
        bends=S_SHAPE, rises=1, ends=(-1, 1),
    ),
    "atan": Curve(
        torch.atan, lambda x, _: 1 / (1 + x * x), knots=(0,), bends=S_SHAPE, rises=1
    ),
    "erf": Curve(
        torch.erf, lambda x, _: 2 * torch.exp(-x * x) / sqrt(pi), knots=(0,), bends=S_SHAPE,
        rises=1, ends=(-1, 1), scale=torch.ones_like,
    ),
    "gelu": Curve(
        lambda x: x * _normal(x), lambda x, _: _normal(x) + x * _density(x),
        knots=(-sqrt(2), sqrt(2)), bends=DIP, scale=argument,
    ),
    "gelu tanh": Curve(
        _gelu_tanh, _gelu_tanh_slope, knots=(-1.4185040087908284, 1.4185040087908284), bends=DIP,
        scale=argument,
    ),
    "silu": Curve(
        lambda x: x * torch.sigmoid(x),
        lambda x, _: torch.sigmoid(x) * (1 + x * torch.sigmoid(-x)),
        knots=(-2.3993572805154677, 2.3993572805154677), bends=DIP, scale=argument,
    ),
    "mish": Curve(
        lambda x: x * torch.tanh(_softplus(x)), _mish_slope,
        knots=(-2.2563763963607931, 1.4905711794854285), bends=DIP, scale=argument,
    ),
    "log_sigmoid": Curve(
        lambda x: -_softplus(-x), lambda x, _: torch.sigmoid(-x), bends=(CONCAVE,), rises=1,
    ),
    "hardswish": Curve(
        lambda x: x * (x + 3).clamp(0, 6) / 6, lambda x, _: (2 * x + 3) / 6, knots=(-3, 3),
        bends=(LINEAR, CONVEX, LINEAR), scale=argument,
    ),
}  # fmt: skip


def softplus(beta: float) -> Curve:
    """`log(1 + exp(beta x)) / beta`."""
    return Curve(
        lambda x: _softplus(beta * x) / beta, lambda x, _: torch.sigmoid(beta * x),
        bends=(CONVEX if beta > 0 else CONCAVE,), rises=1,
    )  # fmt: skip


def elu(depth: float, height: float, rate: float) -> Curve:
    """`depth (exp(rate x) - 1)` left of zero, `height x` right of it, all positive."""

    def value(x: Tensor) -> Tensor:
        return torch.where(x > 0, height * x, depth * torch.expm1(rate * x.clamp(max=0)))

    def slope(x: Tensor, number: int) -> Tensor:
        return torch.full_like(x, height) if number else depth * rate * torch.exp(rate * x)

    return Curve(
        value, slope, knots=(0,), bends=(CONVEX, LINEAR), rises=1,
        scale=lambda x: torch.full_like(x, depth),
    )  # fmt: skip


def reciprocal() -> Curve:
    """`1 / x` on either side of zero; nothing is known across it."""
    return _Reciprocal(
        torch.reciprocal, lambda x, _: -1 / (x * x), knots=(0,), bends=(CONCAVE, CONVEX), rises=-1
    )


def power(exponent: float) -> Curve:
    """`x ** exponent`: everywhere for whole exponents from 2 on, for positive x otherwise."""
    if exponent == int(exponent) and exponent >= 2:
        odd = int(exponent) % 2 == 1
        return Curve(
            lambda x: x ** int(exponent), lambda x, _: exponent * x ** int(exponent - 1),
            knots=(0,) if odd else (), bends=(CONCAVE, CONVEX) if odd else (CONVEX,),
            rises=int(odd), ends=(-inf, inf) if odd else (0, inf),
            half_units=16 + 2 * int(exponent),
        )  # fmt: skip
    bend = CONCAVE if 0 < exponent < 1 else CONVEX
    # The exponent itself is rounded to the model's type: by half a unit of `exponent log x`, which
    # is at most 104 where the result can be told from zero and infinity.
    short = torch.tensor(exponent, dtype=torch.float64).to(torch.bfloat16).double()
    return Curve(
        lambda x: x**exponent, lambda x, _: exponent * x ** (exponent - 1), bends=(bend,),
        domain=(0, inf), rises=1 if exponent > 0 else -1, ends=(0, inf),
        half_units=16 if float(short) == exponent else 16 + 2 * 104,
    )  # fmt: skip


class _Reciprocal(Curve):
    """Its domain has a hole."""

    def _inside(self, box: Box) -> tuple[Tensor, Box]:
        known, inside = super()._inside(box)
        known = known & ((box.low > 0) | (box.high < 0))
        ones = torch.ones_like(box.low)
        return known, Box(*(torch.where(known, end, ones) for end in inside))
