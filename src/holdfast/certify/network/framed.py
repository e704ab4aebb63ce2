"""Affine operators on windows of images, channels last, which may be larger than they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.certify.network.operators import Convolution, Operator


@dataclass(frozen=True, eq=False)
class Rows(Operator):
    """A convolution without padding, as products with the matrix of one row of places.

    Narrow kernels make poor matrix products; all places of a row together make good ones, though
    most of the matrix is zero.

    Args:
        convolution: over two axes, without padding.
        width: places in a row of the windows.
        bias: `(channels,)` or None.
    """

    convolution: Convolution
    width: int
    bias: Tensor | None

    @staticmethod
    def of(convolution: Convolution, width: int) -> Rows:
        """The operator for windows in which a row has `width` places."""
        bias = None if convolution.bias is None else convolution.bias.flatten()
        return Rows(convolution, width, bias)

    @cached_property
    def matrix(self) -> Tensor:
        """`(w channels, kernel height * W channels)`, from a row of coefficients to the inputs.

        It is made when it is first needed: where coefficients go in columns, it never is.
        """
        op, channels = self.convolution, self.convolution.weight.shape[0]
        eye = torch.eye(self.width * channels, dtype=op.weight.dtype)
        flat = eye.reshape(-1, 1, self.width, channels).movedim(3, 1)
        high = op.dilation[0] * (op.weight.shape[2] - 1) + 1
        (lines,) = Convolution.back(_flat(op, high), flat.to(op.weight.device))
        return lines[:, :, :: op.dilation[0]].movedim(1, 3).flatten(1).contiguous()

    @property
    def terms(self) -> int:
        """Those of the convolution."""
        return self.convolution.terms

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return self._forth(xs[0], self.matrix)

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return self._forth(rs[0], self.matrix.abs())

    def _forth(self, x: Tensor, matrix: Tensor) -> Tensor:
        op = self.convolution
        taps, step, apart = op.weight.shape[2], op.stride[0], op.dilation[0]
        height = (op.size[0] - apart * (taps - 1) - 1) // step + 1
        ends = [i * apart + (height - 1) * step + 1 for i in range(taps)]
        lines = torch.stack([x[:, i * apart : end : step] for i, end in enumerate(ends)], 2)
        found = lines.reshape(len(x) * height, -1) @ matrix.T
        return found.reshape(len(x), height, -1, op.weight.shape[0])

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        op, (count, height) = self.convolution, a.shape[:2]
        taps, step, apart = op.weight.shape[2], op.stride[0], op.dilation[0]
        lines = (a.reshape(count * height, -1) @ self.matrix).reshape(count, height, taps, -1)
        found = lines.new_zeros(count, *op.size, op.weight.shape[1] * op.groups).flatten(2)
        for i in range(taps):
            found[:, i * apart : i * apart + (height - 1) * step + 1 : step] += lines[:, :, i]
        return (found.unflatten(2, (op.size[1], -1)),)


def _flat(op: Convolution, high: int) -> Convolution:
    """The convolution on images that are as high as its kernel."""
    return Convolution(
        op.weight, None, op.stride, (0, 0), op.dilation, op.groups, (high, op.size[1])
    )


@dataclass(frozen=True, eq=False)
class Framed(Operator):
    """An affine operator between windows: what it needs lies in the middle of larger ones.

    Args:
        operator: between windows of fitting size.
        margins: per parent, what is left over in front and behind, last axis first.
    """

    operator: Operator
    margins: tuple[tuple[int, ...], ...]

    @property
    def bias(self) -> Tensor | None:  # type: ignore[override]
        """That of the operator."""
        return self.operator.bias

    @property
    def terms(self) -> int:
        """Those of the operator."""
        return self.operator.terms

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return self.operator.linear(self._cut(xs))

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return self.operator.spread(self._cut(rs))

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        pairs = zip(self.operator.back(a), self.margins, strict=True)
        return tuple(F.pad(part, margin) if any(margin) else part for part, margin in pairs)

    def _cut(self, xs: Sequence[Tensor]) -> list[Tensor]:
        return [F.pad(x, [-n for n in m]) for x, m in zip(xs, self.margins, strict=True)]
