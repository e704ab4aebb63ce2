"""How each tensor operation becomes a node; what is not listed here cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from holdfast.certify.moves import (
    Args,
    Named,
    only,
    permute,
    reshape,
    same,
    summed,
    transpose,
)
from holdfast.certify.operators import Convolution, Dense, Scale
from holdfast.certify.rearrange import Total
from holdfast.certify.recorder import Handler, Recorder, unsupported


def _weight(value: Tensor) -> Tensor:
    return value.detach().double()


def _dense(
    r: Recorder, x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor, across: bool = False
) -> int:
    position = only(r, x, weight, bias)
    fixed = None if bias is None else r.constant(bias, out)
    matrix = _weight(weight).T.contiguous() if across else _weight(weight)
    return r.add(Dense(matrix, fixed), [position], out)


def _addmm(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    if any(named.get(k, 1) != 1 for k in ("alpha", "beta")):
        raise unsupported("addmm with factors")
    return _dense(r, args[1], args[2], args[0], out, across=True)


def _mm(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    return _dense(r, args[0], args[1], None, out, across=True)


def _linear(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    return _dense(r, args[0], args[1], args[2] if len(args) > 2 else None, out)


def _convolution(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    x, weight, bias, stride, padding, dilation, transposed, _, groups = args
    if transposed:
        raise unsupported("a transposed convolution")
    spatial = tuple(x.shape[2:])
    fixed = None if bias is None else _weight(bias).reshape(-1, *[1] * len(spatial))

    def each(v: Sequence[int]) -> tuple[int, ...]:
        return tuple(v) if len(v) == len(spatial) else tuple(v) * len(spatial)

    operator = Convolution(
        _weight(weight), fixed, each(stride), each(padding), each(dilation), groups, spatial
    )
    return r.add(operator, [only(r, x, weight, bias)], out)


def _average_pool(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    x = args[0]
    rest: list[Any] = [*args[1:], *_POOL[len(args) - 1 :]]
    spatial = tuple(x.shape[2:])
    kernel, stride, padding = (
        tuple(v) * (len(spatial) // len(v)) for v in (rest[0], rest[1] or rest[0], rest[2])
    )
    ceil, counted, divisor = rest[3:]
    if ceil or divisor is not None or (any(padding) and not counted):
        raise unsupported("average pooling with ceil_mode, a divisor or uncounted padding")
    weight = torch.full((x.shape[1], 1, *kernel), 1.0, dtype=torch.float64, device=x.device)
    weight = weight / weight[0].numel()
    ones = (1,) * len(spatial)
    operator = Convolution(weight, None, stride, padding, ones, x.shape[1], spatial)
    return r.add(operator, [only(r, x)], out)


_POOL = ((), (), (0,), False, True, None)


def _batch_norm(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    x, weight, bias, mean, variance = args[:5]
    if mean is None or (len(args) > 7 and args[5]):
        raise unsupported("BatchNorm in training mode", "Call model.eval() before certifying.")
    axes = [1] * (x.dim() - 2)
    position = only(r, x, weight, bias, mean, variance)
    eps = args[-1]
    factor = 1 / (_weight(variance) + eps).sqrt()
    if weight is not None:
        factor = factor * _weight(weight)
    shift = None if bias is None else _weight(bias).reshape(-1, *axes)
    # Two nodes: folding the mean into the bias would lose digits where they cancel.
    one = torch.ones((), dtype=torch.float64, device=x.device)
    centred = Scale(one, -_weight(mean).reshape(-1, *axes))
    middle = r.add(centred, [position], out)
    return r.add(Scale(factor.reshape(-1, *axes), shift), [middle], out)


def _scaled(r: Recorder, x: Tensor, factor: Tensor, bias: Tensor | None, out: Tensor) -> int:
    if x.shape != out.shape:
        raise unsupported("a constant that broadcasts the input to a larger shape")
    return r.add(Scale(factor, bias), [only(r, x)], out)


def _sum_of(sign: float) -> Handler:
    def handler(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
        a, b = args[:2]
        factor = sign * float(named.get("alpha", args[2] if len(args) > 2 else 1))
        left, right = r.position(a), r.position(b)
        one = torch.ones((), dtype=torch.float64, device=out.device)
        if left is not None and right is not None:
            if a.shape != b.shape:
                raise unsupported("a sum of two values of different shapes")
            return r.add(Total((1.0, factor)), [left, right], out)
        if left is not None:
            return _scaled(r, a, one, factor * r.constant(b, out), out)
        return _scaled(r, b, factor * one, r.constant(a, out), out)

    return handler


def _multiply(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    a, b = args[:2]
    if r.position(a) is None:
        a, b = b, a
    only(r, a, b)
    return _scaled(r, a, r.constant(b, out), None, out)


def _divide(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    a, b = args[:2]
    only(r, a, b)
    if named.get("rounding_mode") is not None:
        raise unsupported("division with rounding")
    return _scaled(r, a, 1 / r.constant(b, out), None, out)


def _subtracted(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    if len(args) > 2 or named.get("alpha", 1) != 1:
        raise unsupported("rsub with a factor")
    return _scaled(r, args[0], r.constant(-1, out), r.constant(args[1], out), out)


def _negate(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    return _scaled(r, args[0], r.constant(-1, out), None, out)


def _relu(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    return r.add(None, [only(r, args[0])], out)


def _clamp_min(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    if isinstance(args[1], Tensor) or args[1] != 0:
        raise unsupported("clamp at another value than zero")
    return _relu(r, args, named, out)


def _clamp(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    low = named.get("min", args[1] if len(args) > 1 else None)
    high = named.get("max", args[2] if len(args) > 2 else None)
    if high is not None or isinstance(low, Tensor) or low != 0:
        raise unsupported("clamp at another value than zero")
    return _relu(r, args, named, out)


HANDLERS: dict[str, Handler] = {
    "addmm": _addmm, "mm": _mm, "linear": _linear, "convolution": _convolution,
    "native_batch_norm": _batch_norm, "cudnn_batch_norm": _batch_norm,
    "miopen_batch_norm": _batch_norm, "_native_batch_norm_legit_no_training": _batch_norm,
    "avg_pool1d": _average_pool, "avg_pool2d": _average_pool, "avg_pool3d": _average_pool,
    "add": _sum_of(1.0), "sub": _sum_of(-1.0), "mul": _multiply, "div": _divide, "neg": _negate,
    "rsub": _subtracted, "clamp": _clamp,
    "relu": _relu, "clamp_min": _clamp_min, "mean": summed(True), "sum": summed(False),
    "view": reshape, "_unsafe_view": reshape, "reshape": reshape, "flatten": reshape,
    "unsqueeze": reshape, "squeeze": reshape, "_reshape_alias": reshape,
    "permute": permute, "transpose": transpose,
    "detach": same, "clone": same, "alias": same, "_to_copy": same, "contiguous": same,
}  # fmt: skip
