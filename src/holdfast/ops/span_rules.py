"""What each function of torch does to a box: affine maps, rising functions, rearrangements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.ops.span_moves import Rule, cat, chunk, mapped, moved, shaped
from holdfast.ops.spans import Span
from holdfast.ops.tape import Map, NoRule


def ruled(name: str, args: Any, kwargs: dict[str, Any]) -> Any:
    """Apply the rule of a function.

    Raises:
        NoRule: if there is none.
    """
    rule = RULES.get(name)
    if rule is None:
        raise NoRule(f"boxes have no rule for {name}")
    return rule(*args, **kwargs)


def _linear(x: Span, weight: Tensor, bias: Tensor | None = None) -> Span:
    return mapped(
        x, lambda v: F.linear(v, weight), lambda r: F.linear(r, weight.abs()),
        None if bias is None else bias[None],
    )  # fmt: skip


def _convolution(kind: Callable[..., Tensor]) -> Rule:
    def rule(
        x: Span, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Span:
        axes = [1] * (weight.dim() - 2)
        return mapped(
            x, lambda v: kind(v, weight, None, *args, **kwargs),
            lambda r: kind(r, weight.abs(), None, *args, **kwargs),
            None if bias is None else bias.reshape(1, -1, *axes),
        )  # fmt: skip

    return rule


def _batch_norm(
    x: Span, mean: Tensor | None, variance: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Span:  # fmt: skip
    """With the statistics of the points themselves while training."""
    if training or mean is None or variance is None:
        point = x.step.point
        if mean is not None:
            F.batch_norm(point.detach(), mean, variance, None, None, True, momentum, eps)
        axes = [d for d in range(point.dim()) if d != 1]
        mean, variance = point.mean(axes), point.var(axes, unbiased=False)
    factor = (variance + eps).rsqrt()
    factor = factor if weight is None else factor * weight
    shift = -mean * factor if bias is None else bias - mean * factor
    shape = (1, -1, *[1] * (x.dim() - 2))
    wide, size = factor.reshape(shape), factor.abs().reshape(shape)
    return mapped(x, lambda v: v * wide, lambda r: r * size, shift.reshape(shape))


def _dropout(x: Span, p: float = 0.5, training: bool = True, inplace: bool = False) -> Span:
    """The same units of point and box are dropped."""
    if not training or p == 0:
        return x
    kept = F.dropout(torch.ones_like(x.step.point), p, True)

    def drop(v: Tensor) -> Tensor:
        return v * kept.repeat(len(v) // len(kept), *[1] * (v.dim() - 1))

    return mapped(x, drop)


def _sum(sign: float) -> Rule:
    def rule(x: Any, y: Any, *, alpha: float = 1) -> Span:
        factor = sign * alpha
        if isinstance(x, Span) and isinstance(y, Span):
            if x.shape != y.shape:
                raise NoRule("a sum of boxes of two shapes")
            size = abs(factor)
            maps: list[Map] = [lambda v: v, lambda v: factor * v]
            sizes: list[Map] = [lambda r: r, lambda r: size * r]
            return Span(x.tape, x.tape.affine([x.position, y.position], maps, sizes))
        if isinstance(x, Span):
            return mapped(x, lambda v: v, None, _constant(factor * y, x))
        return mapped(y, lambda v: factor * v, lambda r: abs(factor) * r, _constant(x, y))

    return rule


def _constant(value: Any, like: Span) -> Tensor:
    """A constant with an axis for the rows, so that it is added to each."""
    point = like.step.point
    fixed = torch.as_tensor(value, dtype=point.dtype, device=point.device)
    if torch.broadcast_shapes(fixed.shape, point.shape) != point.shape:
        raise NoRule("a constant that broadcasts the input to a larger shape")
    if fixed.dim() == point.dim() and len(fixed) > 1:
        raise NoRule("a constant that differs between rows")
    return fixed.reshape(*[1] * (point.dim() - fixed.dim()), *fixed.shape)


def _mul(x: Any, y: Any) -> Span:
    if isinstance(x, Span) and isinstance(y, Span):
        raise NoRule("boxes have no rule for a product of two of them")
    x, y = (x, y) if isinstance(x, Span) else (y, x)
    factor = _constant(y, x)
    return mapped(x, lambda v: v * factor, lambda r: r * factor.abs())


def _div(x: Any, y: Any) -> Span:
    if isinstance(y, Span):
        raise NoRule("boxes have no rule for division by one")
    return _mul(x, 1 / torch.as_tensor(y, dtype=x.dtype, device=x.device))


def _rising(f: Map) -> Rule:
    def rule(x: Any, *args: Any, **kwargs: Any) -> Span:
        spans = [v for v in (x, *args) if isinstance(v, Span)]
        rest = [v for v in args if not isinstance(v, Span)]
        if not isinstance(x, Span):
            raise NoRule("a function of a box in second place")
        at = [s.position for s in spans]
        return Span(x.tape, x.tape.bend(at, lambda *v: f(*v, *rest, **kwargs)))

    return rule


def _relu(x: Span, inplace: bool = False) -> Span:
    return Span(x.tape, x.tape.bend([x.position], torch.relu, relu=True))


RULES: dict[str, Rule] = {
    "linear": _linear, "conv1d": _convolution(F.conv1d), "conv2d": _convolution(F.conv2d),
    "conv3d": _convolution(F.conv3d), "batch_norm": _batch_norm, "dropout": _dropout,
    "add": _sum(1.0), "sub": _sum(-1.0), "mul": _mul, "div": _div,
    "neg": lambda x: mapped(x, lambda v: -v, lambda r: r),
    "flatten": shaped("flatten"), "reshape": shaped("reshape"), "view": shaped("view"),
    "unflatten": shaped("unflatten"), "squeeze": shaped("squeeze"),
    "unsqueeze": shaped("unsqueeze"), "contiguous": lambda x: x, "clone": lambda x: x,
    "permute": moved(lambda v, *order: v.permute(*order)),
    "transpose": moved(lambda v, a, b: v.transpose(a, b)),
    "mean": moved(lambda v, *d, **k: v.mean(*d, **k)),
    "sum": moved(lambda v, *d, **k: v.sum(*d, **k)),
    "select_part": moved(lambda v, where: v[where]), "avg_pool1d": moved(F.avg_pool1d),
    "avg_pool2d": moved(F.avg_pool2d), "adaptive_avg_pool2d": moved(F.adaptive_avg_pool2d),
    "chunk": chunk, "cat": cat, "relu": _relu, "relu_": _relu,
    "leaky_relu": _rising(F.leaky_relu), "tanh": _rising(torch.tanh),
    "sigmoid": _rising(torch.sigmoid), "softplus": _rising(F.softplus), "elu": _rising(F.elu),
    "hardtanh": _rising(F.hardtanh), "relu6": _rising(F.relu6), "clamp": _rising(torch.clamp),
    "max_pool2d": _rising(F.max_pool2d), "maximum": _rising(torch.maximum),
    "minimum": _rising(torch.minimum),
}  # fmt: skip
