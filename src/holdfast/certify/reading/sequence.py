"""Several nodes for one operation of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from holdfast.certify.network.bends import Bend, Relu
from holdfast.certify.network.known import Known
from holdfast.certify.network.operators import Operator, Scale
from holdfast.certify.reading.layout import Layout, Placed
from holdfast.certify.reading.recorder import Recorder
from holdfast.ops.interval import Box


def one(out: Tensor) -> Tensor:
    """The number 1 in float64."""
    return torch.ones((), dtype=torch.float64, device=out.device)


class Steps:
    """Adds nodes of one shape, one after the other, for one operation of the model.

    Args:
        r: the recorder.
        out: the model's result.
        layout: where the rows stand in it.
        shape: of one row; of the result unless given.
        computed: whether the model computes numbers as large as those of the inner steps, which
            may then leave the range of its type.
    """

    def __init__(
        self, r: Recorder, out: Tensor, layout: Layout, shape: tuple[int, ...] | None = None,
        computed: bool = True,
    ) -> None:  # fmt: skip
        self.r, self.out, self.layout, self.computed = r, out, layout, computed
        self.shape = layout.shape(tuple(out.shape)) if shape is None else shape

    def inner(self, op: Operator | Bend, *parents: int) -> int:
        """A step in real arithmetic."""
        dtype = None if self.computed else torch.float64
        return self.r.add(op, parents, self.out, shape=self.shape, rounded=False, dtype=dtype)

    def rounded(self, op: Operator | Bend, *parents: int, extra: int = 0) -> int:
        """A step that the model rounds."""
        return self.r.add(op, parents, self.out, shape=self.shape, extra=extra)

    def placed(self, node: int) -> Placed:
        """The result of the operation."""
        return Placed(node, self.layout, tuple(self.out.shape))

    def relu(self, node: int) -> int:
        """`max(x, 0)`."""
        return self.inner(Relu(), node)

    def scaled(self, node: int, factor: float, shift: Tensor | None = None) -> int:
        """`factor x + shift`, in real arithmetic."""
        return self.inner(Scale(factor * one(self.out), shift), node)


def monotone(function: Callable[[Tensor], Tensor]) -> Callable[[Sequence[Box]], Box]:
    """The box of a rising function of the second input."""
    return lambda boxes: Box(function(boxes[1].low), function(boxes[1].high))


def told(steps: Steps, node: int, x: int, function: Callable[[Tensor], Tensor]) -> int:
    """A value that is known to be a rising function of another one, in real arithmetic."""
    return steps.inner(Known(holds=monotone(function), others=(steps.shape,)), node, x)
