"""Affine operators of a network, each as the three maps that bounds need: x, |W| and W transposed.

A tensor carries rows first; shapes named here leave the rows out. Operators take one tensor per
input of the node, so that a residual sum is an operator like any other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.certify.network.columns import Transposed
from holdfast.ops.interval import Box

Shape = tuple[int, ...]
PLANE = 2  # axes of a plane image
NARROW = 8  # channels below which torch's own transpose is slow
FEW = 9  # float64 rows from which it is slow for more channels as well


class Operator(ABC):
    """An affine map of one or more tensors; `bias` is broadcast over the rows.

    `terms` is the number of products in one output coordinate; together with the sizes of both
    sides it gives the rounding error.
    """

    bias: Tensor | None
    exact: ClassVar[bool] = False  # whether it moves numbers without computing
    shortcut: ClassVar[str] = ""  # "matmul" or "convolution" where torch may multiply TF32

    @property
    def terms(self) -> int:
        """Number of products in one output coordinate."""
        return 1

    @abstractmethod
    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        """`W x` without the bias."""

    @abstractmethod
    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        """`|W| r`: how far boxes of half width r spread."""

    @abstractmethod
    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        """`a W`: coefficients on the output as coefficients on each input."""

    def mass(self, sizes: Sequence[Tensor]) -> Tensor:
        """Sums of absolute terms, by which roundings are measured, from magnitudes of inputs."""
        mass = self.spread(sizes)
        return mass if self.bias is None else mass + self.bias.abs()

    def inside(self, boxes: Sequence[Box]) -> Box | None:
        """A box known to hold the result in real arithmetic, if there is a better one."""
        return None

    @property
    def limits(self) -> tuple[float, float]:
        """Ends that neither the result nor what the model computes leaves."""
        return -torch.inf, torch.inf


@dataclass(frozen=True, eq=False)
class Dense(Operator):
    """`x W^T + b` over the last axis.

    Args:
        weight: `(out, in)`.
        bias: `(out,)` or None.
    """

    shortcut = "matmul"
    weight: Tensor
    bias: Tensor | None = None

    @property
    def terms(self) -> int:
        """Number of inputs of one output."""
        return self.weight.shape[1]

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return xs[0] @ self.weight.T

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return rs[0] @ self.weight.abs().T

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        return (a @ self.weight,)


@dataclass(frozen=True, eq=False)
class Convolution(Operator):
    """A convolution over one, two or three axes; an average pool is one with a constant kernel.

    Args:
        weight: `(out, in / groups, *kernel)`.
        bias: `(out, 1, ...)` or None.
        stride: per axis.
        padding: zeros on both sides, per axis.
        dilation: per axis.
        groups: channel groups.
        size: spatial size of the input, which the transpose must restore.
    """

    shortcut = "convolution"
    weight: Tensor
    bias: Tensor | None
    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int
    size: Shape

    @property
    def terms(self) -> int:
        """Number of inputs of one output."""
        return prod(self.weight.shape[1:])

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        none = [0] * len(self.size)
        found: Tensor = torch.ops.aten.convolution(
            x, weight, None, self.stride, self.padding, self.dilation, False, none, self.groups
        )
        return found

    @cached_property
    def columns(self) -> Transposed | None:
        """The transpose on coefficients in columns; None for what it does not cover."""
        if len(self.size) != PLANE or self.groups > 1 or set(self.dilation) != {1}:
            return None
        return Transposed(self.weight, self.stride, self.padding, self.size)

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return self._convolve(xs[0], self.weight)

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return self._convolve(rs[0], self.weight.abs())

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        narrow = len(self.size) == PLANE and self.groups == 1 and self.weight.shape[1] < NARROW
        columns = self.columns if len(a) >= FEW and _plain(a) and not narrow else None
        if columns is not None and max(self.weight.shape[2:]) > 1:
            return (columns.rows(a),)
        if narrow:
            lines = self.weight.flatten(1).T @ a.flatten(2)
            kernel = tuple(self.weight.shape[2:])
            return (F.fold(lines, self.size, kernel, self.dilation, self.padding, self.stride),)
        # Inputs behind the last whole stride touch no output: the transpose needs their number.
        rest = [
            (n + 2 * p - d * (k - 1) - 1) % s
            for n, p, d, k, s in zip(
                self.size, self.padding, self.dilation, self.weight.shape[2:], self.stride,
                strict=True,
            )
        ]  # fmt: skip
        return (
            torch.ops.aten.convolution(
                a, self.weight, None, self.stride, self.padding, self.dilation, True, rest,
                self.groups,
            ),
        )  # fmt: skip


def _plain(a: Tensor) -> bool:
    """Whether coefficients are float64 on the host, and nothing is differentiated in them."""
    return a.dtype == torch.float64 and a.device.type == "cpu" and not a.requires_grad


@dataclass(frozen=True, eq=False)
class Scale(Operator):
    """`factor x + bias`, coordinate by coordinate: normalisation with constants, batch norm.

    Args:
        factor: broadcast against one row.
        bias: broadcast against one row, or None.
    """

    factor: Tensor
    bias: Tensor | None = None

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return xs[0] * self.factor

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return rs[0] * self.factor.abs()

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        return (a * self.factor,)
