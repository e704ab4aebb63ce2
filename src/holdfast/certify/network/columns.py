"""Transposed convolutions of coefficients that stand in columns, one for each question.

A value of an image lies as `(H, C, W, n)`: rows of places first, the n questions last. Then the
rows of places under a kernel are one block of memory, and the coefficients of a whole row of
places, for all questions at once, are products of small matrices with wide ones. Nothing is
copied for it and nothing but padding is multiplied in vain; inputs that strides let meet
different taps of the kernel have matrices of their own. The sums are those of the convolution,
in another order.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from torch import Tensor

Shape = tuple[int, ...]


class Phase(NamedTuple):
    """Along one axis, the inputs that meet the same taps of a kernel.

    Args:
        taps: places of the kernel, the last one first.
        start: the output under the first of the taps for the first of the inputs.
        first: the first of the inputs, which are a stride apart.
        number: how many inputs there are.
    """

    taps: Shape
    start: int
    first: int
    number: int


def phases(kernel: int, stride: int, padding: int, size: int) -> tuple[Phase, ...]:
    """The inputs `0 .. size - 1` of one axis: input x meets tap k at output `(x + p - k) / s`."""
    found = []
    for rest in range(stride):
        taps = tuple(range(rest, kernel, stride))[::-1]
        low = max(0, -((rest - padding) // stride))
        high = (size - 1 + padding - rest) // stride
        if taps and high >= low:
            first = stride * low + rest - padding
            found.append(Phase(taps, low - len(taps) + 1, first, high - low + 1))
    return tuple(found)


def room(axis: tuple[Phase, ...], places: int) -> tuple[int, int]:
    """How many zeros are read in front of the outputs of one axis, and behind."""
    ends = [p.start + p.number + len(p.taps) - 1 for p in axis]
    return max([0, *(-p.start for p in axis)]), max([0, *(end - places for end in ends)])


class Transposed:
    """The transpose of a convolution of images, without groups or dilation, on columns.

    Args:
        weight: `(outputs, inputs, height, width)`.
        stride: per axis.
        padding: zeros on both sides, per axis.
        size: height and width of the input.
    """

    def __init__(self, weight: Tensor, stride: Shape, padding: Shape, size: Shape) -> None:
        self.size, self.stride = size, stride
        self.channels, self.inputs, *kernel = weight.shape
        axes = list(zip(kernel, stride, padding, size, strict=True))
        self.places = [(n + 2 * p - k) // s + 1 for k, s, p, n in axes]
        rows, across = self.axes = [phases(*axis) for axis in axes]
        self.above, self.below = room(rows, self.places[0])
        self.left, self.right = room(across, self.places[1])
        self.matrices = {
            (row, some): tuple(_matrix(weight, row, tap) for tap in some.taps)
            for row, some in product(rows, across)
        }
        met = tuple(sum(p.number for p in axis) for axis in self.axes)
        self.whole = met == tuple(size)  # every input meets some tap

    def place(self, like: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """Zeros, and the part within for the coefficients `(H, C, W, n)` of the outputs."""
        height, width = self.places
        size = self.above + height + self.below, self.channels, self.left + width + self.right, n
        around = like.new_zeros(size)
        return around, around[self.above :][:height, :, self.left :][:, :, :width]

    def back(self, around: Tensor) -> Tensor:
        """Coefficients `(H, C, W, n)` on the inputs, of those that lie in a place."""
        (height, width), (high, wide), n = self.size, self.stride, around.shape[-1]
        found: Tensor | None = None
        if not self.whole or (high, wide) != (1, 1):
            fresh = around.new_empty if self.whole else around.new_zeros
            found = fresh((height, self.inputs, width, n))
        for row, some, part in self.parts(around):
            if found is None:
                return part
            found[row.first :: high, :, some.first :: wide] = part
        return around.new_zeros((height, self.inputs, width, n)) if found is None else found

    def parts(self, around: Tensor) -> Iterator[tuple[Phase, Phase, Tensor]]:
        """The same for the inputs of each pair of phases `(rows, C, places, n)`."""
        n = around.shape[-1]
        for (row, some), matrices in self.matrices.items():
            part = around.new_empty(row.number, self.inputs, some.number * n)
            for k, matrix in enumerate(matrices):
                at = row.start + self.above, some.start + self.left + k
                lines = _under(around, row, some.number, at)
                part.baddbmm_(matrix.expand(row.number, -1, -1), lines, beta=int(k > 0))
            yield row, some, part.view(row.number, self.inputs, some.number, n)

    def rows(self, a: Tensor) -> Tensor:
        """The same for coefficients `(n, C, H, W)`."""
        around, place = self.place(a, len(a))
        place.copy_(a.permute(2, 1, 3, 0))
        return self.back(around).permute(3, 1, 0, 2).contiguous()


def _matrix(weight: Tensor, row: Phase, tap: int) -> Tensor:
    """`(inputs, rows under the kernel x outputs)`: one column of a kernel."""
    return weight[:, :, list(row.taps), tap].permute(1, 2, 0).flatten(1).contiguous()


def _under(around: Tensor, row: Phase, count: int, at: tuple[int, int]) -> Tensor:
    """`(rows, rows under the kernel x outputs, places x n)`: parts of memory that overlap."""
    channels, width, n = around.shape[1:]
    lines = width * n
    return around.as_strided(
        (row.number, len(row.taps) * channels, count * n),
        (channels * lines, lines, 1),
        around.storage_offset() + at[0] * channels * lines + at[1] * n,
    )
