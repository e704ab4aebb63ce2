"""Modules of known meaning as links, with their live weights.

So training can shrink the very constants that a certificate multiplies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.certify.lipschitz.chain import Bent, Link, refused
from holdfast.certify.network.operators import Convolution, Dense, Operator, Scale, Shape
from holdfast.certify.network.rearrange import Reshape, Total
from holdfast.core.kinds import Model
from holdfast.layers.fusion import TwoTowers
from holdfast.layers.lipschitz import LinearResidual, MinMax, Orthogonal, Residual, UnitRows


class _Chain:
    """Links under construction."""

    def __init__(self, shape: Shape, cast: Callable[[Tensor], Tensor]) -> None:
        self.links, self.cast = [Link(None, (), shape)], cast

    def add(self, step: Operator | Bent, *parents: int, block: int | None = None) -> None:
        at = parents or (len(self.links) - 1,)
        first = self.links[at[0]]
        with torch.no_grad():
            sample = torch.zeros(1, *first.shape, dtype=torch.float64)
            if isinstance(step, Operator):
                kind = getattr(step, "weight", getattr(step, "factor", sample))
                sample = sample.to(kind) if isinstance(kind, Tensor) else sample
                out = step.linear([sample] * len(at))
            else:
                out = step(sample)
        self.links.append(Link(step, at, tuple(out.shape[1:]), block=block))


def _linear(c: _Chain, m: Any) -> None:
    weight = m.matrix if isinstance(m, Orthogonal | UnitRows) else m.weight
    c.add(Dense(c.cast(weight), None if m.bias is None else c.cast(m.bias)))


def _convolution(c: _Chain, m: Any) -> None:
    size = c.links[-1].shape[1:]
    if isinstance(m, LinearResidual):
        stride, padding, dilation, groups = 1, m.padding, 1, 1
    else:
        stride, padding, dilation, groups = m.stride, m.padding, m.dilation, m.groups
        if m.padding_mode != "zeros" or isinstance(padding, str):
            raise refused("a convolution that is not padded with zeros by number")

    def each(v: Any) -> Shape:
        return tuple(v) if isinstance(v, tuple) else (v,) * len(size)

    bias = None if m.bias is None else c.cast(m.bias).reshape(-1, *[1] * len(size))
    c.add(Convolution(c.cast(m.weight), bias, each(stride), each(padding), each(dilation),
                      groups, size))  # fmt: skip


def _norm(c: _Chain, m: Any) -> None:
    """Batch normalisation with its running statistics, as it will be certified."""
    if m.running_var is None:
        raise refused("batch normalisation without running statistics")
    axes = [1] * (len(c.links[-1].shape) - 1)
    factor = 1 / (c.cast(m.running_var) + m.eps).sqrt()
    factor = factor if m.weight is None else factor * c.cast(m.weight)
    shift = None if m.bias is None else c.cast(m.bias).reshape(-1, *axes)
    one = torch.ones((), dtype=factor.dtype, device=factor.device)
    c.add(Scale(one, -c.cast(m.running_mean).reshape(-1, *axes)))
    c.add(Scale(factor.reshape(-1, *axes), shift))


def _flatten(c: _Chain, m: Any) -> None:
    if m.start_dim != 1 or m.end_dim != -1:
        raise refused("flattening of some axes only")
    before = c.links[-1].shape
    c.add(Reshape(before, (int(torch.Size(before).numel()),)))


def _max_pool(c: _Chain, m: Any) -> None:
    if m.padding or m.ceil_mode or m.dilation != 1 or (m.stride or m.kernel_size) != m.kernel_size:
        raise refused("pooling by maximum over windows that overlap or leave the image")
    # Each input lies in one window at most, and a maximum moves no further than its window.
    c.add(lambda x: nn.functional.max_pool2d(x, m.kernel_size))


def _average_pool(c: _Chain, m: Any) -> None:
    if m.padding or m.ceil_mode or m.divisor_override is not None:
        raise refused("average pooling with padding, ceil_mode or a divisor")
    shape = c.links[-1].shape
    kernel, stride = ((v, v) if isinstance(v, int) else tuple(v) for v in
                      (m.kernel_size, m.stride or m.kernel_size))  # fmt: skip
    area = kernel[0] * kernel[1]
    weight = c.cast(torch.full((shape[0], 1, *kernel), 1.0, dtype=torch.float64)) / area
    c.add(Convolution(weight, None, stride, (0, 0), (1, 1), shape[0], shape[1:]))


def _residual(c: _Chain, m: Any) -> None:
    start = len(c.links) - 1
    _walk(c, m.inner)
    if c.links[-1].shape != c.links[start].shape:
        raise refused("a residual sum of two shapes")
    c.add(Total((1.0, 1.0)), start, len(c.links) - 1)


def _towers(c: _Chain, m: Any) -> None:
    """Each encoder on its own columns, its scores times what the fusion counts on them."""
    start, ends = len(c.links) - 1, []
    if start or c.links[0].shape != (sum(m.columns),):
        raise refused("towers whose columns are not those of the input")
    first = 0
    for number, (part, size) in enumerate(zip(m.encoders, m.columns, strict=True)):
        eye = torch.eye(sum(m.columns)).to(m.fusion.bias.device)[first : first + size]
        c.add(Dense(c.cast(eye.to(m.fusion.bias.dtype))), start, block=number)
        first += size
        _walk(c, part)
        c.add(Dense(c.cast(m.fusion.matrices()[number])))
        c.add(Scale(c.cast(m.fusion.counts[number])))
        ends.append(len(c.links) - 1)
    c.add(Total((1.0,) * len(ends)), *ends)
    one = c.cast(torch.ones_like(m.fusion.bias[0]))
    c.add(Scale(one, c.cast(m.fusion.bias)))


def _nothing(c: _Chain, m: Any) -> None:
    return None


_MADE: dict[type, Callable[[_Chain, Any], None]] = {
    nn.Linear: _linear, Orthogonal: _linear, UnitRows: _linear, nn.Conv1d: _convolution,
    nn.Conv2d: _convolution, LinearResidual: _convolution, nn.BatchNorm1d: _norm,
    nn.BatchNorm2d: _norm, nn.Flatten: _flatten, nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _average_pool, Residual: _residual, nn.Identity: _nothing,
    nn.Dropout: _nothing, nn.ReLU: lambda c, m: c.add(torch.relu),
    MinMax: lambda c, m: c.add(m.forward), TwoTowers: _towers,
}  # fmt: skip


def _walk(c: _Chain, module: nn.Module) -> None:
    if module._forward_hooks or module._forward_pre_hooks:
        raise refused(f"{type(module).__name__} with a hook")
    if type(module) is nn.Sequential:
        for part in module:
            _walk(c, part)
    elif type(module) in _MADE:
        _MADE[type(module)](c, module)
    else:
        raise refused(f"the module {type(module).__name__}")


def chain(model: Model, shape: Shape, *, exact: bool = False) -> list[Link]:
    """The links of a model made of modules of known meaning.

    Args:
        model: a layer, or a Sequential of layers.
        shape: of one row of the input.
        exact: take the weights in float64, without gradients; else as they are.

    Raises:
        Unsupported: naming the module that is not known.
    """
    if not isinstance(model, nn.Module):
        raise refused("a model that is no module")
    found = _Chain(shape, (lambda t: t.detach().double()) if exact else (lambda t: t))
    _walk(found, model)
    return found.links
