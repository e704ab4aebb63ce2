"""How elementwise operations become nodes: sums, products, powers and functions of one value."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any

import torch
from torch import Tensor

from holdfast.certify.network.bends import Bend
from holdfast.certify.network.functions import CURVES, elu, power, reciprocal, softplus
from holdfast.certify.network.operators import Scale
from holdfast.certify.network.products import Product
from holdfast.certify.network.rearrange import Total
from holdfast.certify.reading.layout import Placed
from holdfast.certify.reading.moves import Args, Named, aligned, traced
from holdfast.certify.reading.recorder import Handler, Recorder
from holdfast.certify.reading.refusals import unsupported
from holdfast.certify.reading.sequence import Steps, one


def elementwise(bend: Callable[..., Bend]) -> Handler:
    """A function of one value; further arguments choose it."""

    def handler(r: Recorder, args: Args, named: Named, out: Any) -> Placed:
        first = out[0] if isinstance(out, tuple | list) else out
        (node,), layout = aligned(r, args[:1], first)
        steps = Steps(r, first, layout)
        return steps.placed(steps.rounded(bend(*args[1:], **named), node))

    return handler


def sum_of(sign: float) -> Handler:
    """A sum or a difference."""

    def handler(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
        factor = sign * float(named.get("alpha", args[2] if len(args) > 2 else 1))
        (a, b), layout = aligned(r, args[:2], out)
        steps = Steps(r, out, layout)
        if isinstance(a, int) and isinstance(b, int):
            return steps.placed(steps.rounded(Total((1.0, factor)), a, b))
        if isinstance(a, int):
            return steps.placed(steps.rounded(Scale(one(out), factor * b), a))
        return steps.placed(steps.rounded(Scale(factor * one(out), a), b))

    return handler


def times(steps: Steps, a: Any, b: Any, extra: int = 0) -> int:
    """A product of two values, or of a value and a constant."""
    if isinstance(a, int) and isinstance(b, int):
        op: Bend = CURVES["square"] if a == b else Product()
        return steps.rounded(op, *dict.fromkeys((a, b)), extra=extra)
    factor, node = (b, a) if isinstance(a, int) else (a, b)
    return steps.rounded(Scale(factor), node, extra=extra)


def multiply(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """A product."""
    (a, b), layout = aligned(r, args[:2], out)
    steps = Steps(r, out, layout)
    return steps.placed(times(steps, a, b))


def divide(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """A quotient."""
    if named.get("rounding_mode") is not None:
        raise unsupported("division with rounding")
    (a, b), layout = aligned(r, args[:2], out)
    steps = Steps(r, out, layout)
    if isinstance(b, int):
        return steps.placed(times(steps, a, steps.inner(reciprocal(), b), extra=2))
    return steps.placed(steps.rounded(Scale(1 / b), a))


def reversed_difference(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """`b - alpha a`."""
    if len(args) > 2 or named.get("alpha", 1) != 1:
        raise unsupported("rsub with a factor")
    return sum_of(-1.0)(r, [args[1], args[0]], {}, out)  # type: ignore[return-value]


def negate(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """`-x`, without rounding."""
    (node,), layout = aligned(r, args[:1], out)
    steps = Steps(r, out, layout)
    return steps.placed(steps.scaled(node, -1.0))


def multiply_add(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """`x + value a b`."""
    (x, a, b), layout = aligned(r, args[:3], out)
    steps, factor = Steps(r, out, layout), float(named.get("value", 1))
    if not (isinstance(a, int) or isinstance(b, int)):
        raise unsupported("addcmul of two constants")
    product = times(steps, a, b)
    if isinstance(x, int):
        return steps.placed(steps.rounded(Total((1.0, factor)), x, product))
    return steps.placed(steps.rounded(Scale(factor * one(out), x), product))


def raised(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """`x ** p` for a number p, or `c ** x` for a positive number c."""
    base, exponent = args[:2]
    (a, b), layout = aligned(r, [base, exponent], out)
    steps = Steps(r, out, layout)
    if isinstance(b, int):
        if isinstance(a, int) or a.dim() or float(a) <= 0:
            raise unsupported("a power of a value that depends on the input by another one")
        rate = log(float(a))
        # The base itself is rounded, which the exponent multiplies.
        extra = min(2**62, int(230 / max(abs(rate), 1e-12)) + 16)
        return steps.placed(steps.rounded(CURVES["exp"], steps.scaled(b, rate), extra=extra))
    if b.dim():
        raise unsupported("a power with a tensor of exponents")
    known = {0.5: CURVES["sqrt"], -0.5: CURVES["rsqrt"], 2.0: CURVES["square"], -1.0: reciprocal()}
    if float(b) == 1:
        return steps.placed(a)
    return steps.placed(steps.rounded(known.get(float(b)) or power(float(b)), a))


def smooth_relu(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """Softplus; beyond its threshold the model returns the argument itself."""
    beta, threshold = (args[i] if len(args) > i else end for i, end in ((1, 1.0), (2, 20.0)))
    (node,), layout = aligned(r, args[:1], out)
    # log(1 + exp(-t)) is left out where beta x > t, that is of values above t / beta.
    share = 2.0 ** (-1.44 * threshold) / threshold if threshold > 0 else torch.inf
    unit = torch.finfo(out.dtype).eps / 2
    if share > 1e-3 or beta <= 0:
        raise unsupported("softplus with a low threshold or a negative beta")
    steps = Steps(r, out, layout)
    extra = int(share / unit) + 1
    return steps.placed(steps.rounded(softplus(float(beta)), node, extra=extra))


def exponential_unit(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """ELU and SELU."""
    alpha, scale, rate = (float(args[i]) if len(args) > i else 1.0 for i in (1, 2, 3))
    if min(alpha, scale, rate) <= 0:
        raise unsupported("ELU with a negative factor")
    bend = elu(alpha * scale, scale, rate)
    return elementwise(lambda: bend)(r, args[:1], {}, out)  # type: ignore[return-value]


def celu(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """CELU."""
    alpha = float(args[1]) if len(args) > 1 else 1.0
    return exponential_unit(r, [args[0], alpha, 1.0, 1 / alpha], {}, out)


def gated(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """GLU: one half times the sigmoid of the other."""
    dim = args[1] if len(args) > 1 else -1
    halves = args[0].chunk(2, dim)
    a, b = traced(r, lambda t: t.chunk(2, dim), args[:1], {}, list(halves))
    steps = Steps(r, out, a.layout)
    return steps.placed(times(steps, a.node, steps.rounded(CURVES["sigmoid"], b.node), extra=2))
