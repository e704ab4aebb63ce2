"""How each tensor operation becomes a node; what is not listed here cannot be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from holdfast.certify.operators import (
    Convolution,
    Dense,
    Mean,
    Permute,
    Reshape,
    Scale,
    Total,
)
from holdfast.certify.reader import Handler, Recorder, unsupported

Args = Sequence[Any]
Named = Mapping[str, Any]


def _row(t: Tensor) -> tuple[int, ...]:
    return tuple(t.shape[1:])


def _only(recorder: Recorder, value: Any, *constants: Any) -> int:
    """The node of the one argument that may depend on the input."""
    position = recorder.position(value)
    if position is None or any(recorder.position(c) is not None for c in constants):
        raise unsupported("a product of two values that both depend on the input")
    return position


def _weight(value: Tensor) -> Tensor:
    return value.detach().double()


def _dense(
    r: Recorder, x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor, across: bool = False
) -> int:
    position = _only(r, x, weight, bias)
    fixed = None if bias is None else r.constant(bias, out)
    matrix = _weight(weight).T.contiguous() if across else _weight(weight)
    return r.add(Dense(matrix, fixed), [position], _row(out))


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
    return r.add(operator, [_only(r, x, weight, bias)], _row(out))


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
    return r.add(operator, [_only(r, x)], _row(out))


_POOL = ((), (), (0,), False, True, None)


def _batch_norm(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    x, weight, bias, mean, variance = args[:5]
    if mean is None or (len(args) > 7 and args[5]):
        raise unsupported("BatchNorm in training mode", "Call model.eval() before certifying.")
    axes = [1] * (x.dim() - 2)
    position = _only(r, x, weight, bias, mean, variance)
    eps = args[-1]
    factor = 1 / (_weight(variance) + eps).sqrt()
    if weight is not None:
        factor = factor * _weight(weight)
    shift = None if bias is None else _weight(bias).reshape(-1, *axes)
    # Two nodes: folding the mean into the bias would lose digits where they cancel.
    one = torch.ones((), dtype=torch.float64, device=x.device)
    centred = Scale(one, -_weight(mean).reshape(-1, *axes))
    middle = r.add(centred, [position], _row(out))
    return r.add(Scale(factor.reshape(-1, *axes), shift), [middle], _row(out))


def _scaled(r: Recorder, x: Tensor, factor: Tensor, bias: Tensor | None, out: Tensor) -> int:
    if x.shape != out.shape:
        raise unsupported("a constant that broadcasts the input to a larger shape")
    return r.add(Scale(factor, bias), [_only(r, x)], _row(out))


def _sum_of(sign: float) -> Handler:
    def handler(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
        a, b = args[:2]
        factor = sign * float(named.get("alpha", args[2] if len(args) > 2 else 1))
        left, right = r.position(a), r.position(b)
        one = torch.ones((), dtype=torch.float64, device=out.device)
        if left is not None and right is not None:
            if a.shape != b.shape:
                raise unsupported("a sum of two values of different shapes")
            return r.add(Total((1.0, factor)), [left, right], _row(out))
        if left is not None:
            return _scaled(r, a, one, factor * r.constant(b, out), out)
        return _scaled(r, b, factor * one, r.constant(a, out), out)

    return handler


def _multiply(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    a, b = args[:2]
    if r.position(a) is None:
        a, b = b, a
    _only(r, a, b)
    return _scaled(r, a, r.constant(b, out), None, out)


def _divide(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    a, b = args[:2]
    _only(r, a, b)
    if named.get("rounding_mode") is not None:
        raise unsupported("division with rounding")
    return _scaled(r, a, 1 / r.constant(b, out), None, out)


def _negate(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    return _scaled(r, args[0], r.constant(-1, out), None, out)


def _relu(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    return r.add(None, [_only(r, args[0])], _row(out))


def _clamp_min(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    if isinstance(args[1], Tensor) or args[1] != 0:
        raise unsupported("clamp at another value than zero")
    return _relu(r, args, named, out)


def _reshape(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    x = args[0]
    if out.dim() == 0 or len(out) != len(x):
        raise unsupported("a reshape that mixes rows")
    return r.add(Reshape(_row(x), _row(out)), [_only(r, x)], _row(out))


def _permuted(r: Recorder, x: Tensor, order: Sequence[int], out: Tensor) -> int:
    order = tuple(i % x.dim() for i in order)
    if order[0] != 0:
        raise unsupported("a transpose that moves the rows")
    return r.add(Permute(order), [_only(r, x)], _row(out))


def _permute(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    return _permuted(r, args[0], args[1], out)


def _transpose(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    order = list(range(args[0].dim()))
    i, j = args[1], args[2]
    order[i], order[j] = order[j], order[i]
    return _permuted(r, args[0], order, out)


def _same(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    if not out.dtype.is_floating_point:
        raise unsupported(f"a cast to {out.dtype}")
    return _only(r, args[0])


def _summed(mean: bool) -> Handler:
    def handler(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
        x = args[0]
        axes = tuple(sorted(i % x.dim() for i in (args[1] if len(args) > 1 else [])))
        if not axes or 0 in axes:
            raise unsupported("a sum or mean over the rows")
        keep = bool(args[2]) if len(args) > 2 else False
        count = 1
        for i in axes:
            count *= x.shape[i]
        operator = Mean(axes, _row(x), keep, 1 / count if mean else 1.0)
        return r.add(operator, [_only(r, x)], _row(out))

    return handler


HANDLERS: dict[str, Handler] = {
    "addmm": _addmm, "mm": _mm, "linear": _linear, "convolution": _convolution,
    "native_batch_norm": _batch_norm, "cudnn_batch_norm": _batch_norm,
    "miopen_batch_norm": _batch_norm, "_native_batch_norm_legit_no_training": _batch_norm,
    "avg_pool1d": _average_pool, "avg_pool2d": _average_pool, "avg_pool3d": _average_pool,
    "add": _sum_of(1.0), "sub": _sum_of(-1.0), "mul": _multiply, "div": _divide, "neg": _negate,
    "relu": _relu, "clamp_min": _clamp_min, "mean": _summed(True), "sum": _summed(False),
    "view": _reshape, "_unsafe_view": _reshape, "reshape": _reshape, "flatten": _reshape,
    "unsqueeze": _reshape, "squeeze": _reshape, "_reshape_alias": _reshape,
    "permute": _permute, "transpose": _transpose,
    "detach": _same, "clone": _same, "alias": _same, "_to_copy": _same, "contiguous": _same,
}  # fmt: skip
