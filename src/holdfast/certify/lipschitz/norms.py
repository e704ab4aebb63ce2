"""Euclidean norms of affine operators: proved from above, or estimated from below for training."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from holdfast.certify.network.operators import Convolution, Dense, Operator, Scale, Shape
from holdfast.certify.network.rearrange import Mean, Permute, Reshape, Total
from holdfast.core.errors import Unsupported
from holdfast.ops.interval import TINY, UNIT, gamma
from holdfast.ops.spectral import spectral_norm_above

EXPLICIT = 2**21  # entries up to which an operator is written out as a matrix
SHORT = 512  # shorter side up to which its eigenvalues are looked for


def crude_norm(op: Operator, shape: Shape) -> Tensor:
    """A number above the norm of `|W|`: the geometric mean of its row and column sums.

    Args:
        op: of one input.
        shape: of one row of the input.
    """
    ones = _one(op, shape)
    rows = op.spread([ones])
    sums = absolute(op).back(torch.ones_like(rows))[0]
    error = 1 + 4 * gamma(prod(shape) + rows.numel() + 8)
    found: Tensor = (rows.amax() * sums.amax()).clamp(min=0).sqrt() * error + TINY
    return torch.where(found.isfinite(), found, torch.inf)


def _one(op: Operator, shape: Shape) -> Tensor:
    weight = getattr(op, "weight", getattr(op, "factor", None))
    device = weight.device if isinstance(weight, Tensor) else None
    return torch.ones(1, *shape, dtype=torch.float64, device=device)


def absolute(op: Operator) -> Operator:
    """The operator of absolute weights."""
    if isinstance(op, Dense | Convolution):
        return replace(op, weight=op.weight.abs())
    if isinstance(op, Scale):
        return replace(op, factor=op.factor.abs())
    if isinstance(op, Total):
        return replace(op, factors=tuple(abs(f) for f in op.factors))
    return op


def norm_above(op: Operator, shape: Shape) -> Tensor:
    """A number above the largest `|W x| / |x|`, in Euclidean lengths; infinite where unknown.

    Args:
        op: of one input, in float64.
        shape: of one row of the input.

    Raises:
        Unsupported: for an operator that is neither known nor small enough to be written out.
    """
    if isinstance(op, Reshape | Permute):
        return torch.ones((), dtype=torch.float64)
    if isinstance(op, Scale):
        found = op.factor.abs().amax()
        return torch.where(found.isfinite(), found, torch.inf)
    if isinstance(op, Mean):
        return torch.tensor(op.factor * op.terms**0.5 * (1 + 4 * UNIT), dtype=torch.float64)
    if isinstance(op, Dense):
        return spectral_norm_above(op.weight)
    outputs = prod(op.linear([_one(op, shape)]).shape[1:])
    inputs = prod(shape)
    small = outputs * inputs <= EXPLICIT and min(outputs, inputs) <= SHORT
    if isinstance(op, Convolution):
        known = torch.minimum(on_torus(op), crude_norm(op, shape))
        return torch.minimum(known, _written(op, shape)) if small else known
    if not small:
        raise Unsupported(
            f"no Lipschitz bound for {type(op).__name__} of {outputs} outputs",
            fix="Certify by crown instead.",
        )
    return _written(op, shape)


def _written(op: Operator, shape: Shape) -> Tensor:
    """The bound from the operator's own matrix, entries of which are single products or sums."""
    out = op.linear([_one(op, shape)])
    eye = torch.eye(prod(out.shape[1:]), dtype=torch.float64, device=out.device)
    matrix = op.back(eye.reshape(-1, *out.shape[1:]))[0].flatten(1)
    slack = 2 * gamma(op.terms + 8) * torch.linalg.matrix_norm(matrix)
    found: Tensor = spectral_norm_above(matrix) + slack
    return found


def on_torus(op: Convolution) -> Tensor:
    """A number above the norm of a convolution on any input of its size, padded with zeros.

    Padded by enough zeros a convolution is part of one on a torus, whose blocks are the matrices
    of its frequencies: finitely many, so that nothing lies between them. A stride s sorts the
    inputs by their remainders into more channels, after which every step is one.

    Cost: one factorisation per frequency and group, of twice the channels.
    """
    weight, axes = op.weight, len(op.size)
    kernel = weight.shape[2:]
    taps = torch.cartesian_prod(*(torch.arange(k) for k in kernel)).reshape(-1, axes)
    stride, dilation, padding = (torch.tensor(v) for v in (op.stride, op.dilation, op.padding))
    offsets = taps * dilation - padding
    rest = offsets.remainder(stride)
    moves = (offsets - rest).div(stride, rounding_mode="floor")
    side = [
        -(-(n + s) // s) + int(m.max() - m.min()) + 1
        for n, s, m in zip(op.size, op.stride, moves.T, strict=True)
    ]
    remainder = torch.zeros(len(taps), dtype=torch.int64)
    for r, s in zip(rest.T, op.stride, strict=True):
        remainder = remainder * s + r
    outs, ins = weight.shape[0] // op.groups, weight.shape[1]
    blocks = weight.reshape(op.groups, outs, ins, -1)  # groups, outputs, inputs, taps
    best = torch.zeros((), dtype=torch.float64, device=weight.device)
    waves = torch.cartesian_prod(*(torch.arange(n) for n in side)).reshape(-1, axes)
    waves = waves[waves[:, 0] <= side[0] // 2]  # the others are conjugates of these
    mass = torch.linalg.matrix_norm(blocks.abs().sum(-1)).amax()
    for part in waves.split(max(1, EXPLICIT // (4 * weight.numel()))):
        turns = torch.zeros(len(part), len(taps), dtype=torch.float64)
        for axis, n in enumerate(side):
            turns += (part[:, axis, None] * moves[None, :, axis]).remainder(n) / n
        angle = (2 * torch.pi * turns).to(weight.device)
        phase = torch.complex(angle.cos(), angle.sin())
        found = torch.zeros(
            len(part), op.groups, outs, ins, prod(op.stride), dtype=phase.dtype, device=phase.device
        )
        terms = blocks[None] * phase[:, None, None, None]
        where = remainder.to(weight.device)
        found.index_add_(4, where, terms)
        best = torch.maximum(best, spectral_norm_above(found.flatten(3)).amax())
    # Angles below 2 pi axes and their sines err by less than 32 roundings, sums by one per tap.
    bound: Tensor = best + 2 * gamma(len(taps) + 64) * mass
    return bound


def power_norm(
    op: Operator, shape: Shape, steps: int, start: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The norm as power iteration sees it, and where it ended; not above the truth.

    Differentiable in the weights; the direction counts as fixed, which is the exact gradient
    where it has converged.

    Args:
        op: of one input, with live weights.
        shape: of one row of the input.
        steps: products with the operator and its transpose.
        start: where it ended the last time; without it a direction that is always the same.
    """
    weight = getattr(op, "weight", torch.ones(()))
    v = start
    if v is None or v.shape != (1, *shape):
        count = torch.arange(1, prod(shape) + 1, dtype=torch.float64)
        v = 1 + torch.cos(1.7 * count**1.5).reshape(1, *shape)
    v = v.to(weight)
    with torch.no_grad():
        for _ in range(steps):
            v = op.back(op.linear([v / v.norm().clamp(min=1e-30)]))[0]
        v = v / v.norm().clamp(min=1e-30)
    return op.linear([v]).norm(), v


class Iterated:
    """Norms by power iteration that goes on, layer by layer, where it ended the last time.

    Args:
        steps: for each layer and call.
        kept: directions by the position of the layer; changed.
    """

    def __init__(self, steps: int, kept: dict[str, Tensor]) -> None:
        self.steps, self.kept, self.seen = steps, kept, 0

    def __call__(self, op: Operator, shape: Shape) -> Tensor:
        """The norm of the next layer."""
        if isinstance(op, Reshape | Permute):
            return torch.ones(())
        if isinstance(op, Scale):
            return op.factor.abs().amax()
        if isinstance(op, Mean):
            return torch.tensor(op.factor * op.terms**0.5)
        name, self.seen = str(self.seen), self.seen + 1
        norm, self.kept[name] = power_norm(op, shape, self.steps, self.kept.get(name))
        return norm
