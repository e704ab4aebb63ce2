"""Networks evaluated on boxes as they stand: a `Span` stands in for the input of a module.

Torch hands each function that meets it to a rule, so any module made of functions that have one
is evaluated on a box, and what was done is kept on a tape.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from holdfast.ops.tape import NoRule, Step, Tape


class Span:
    """A value of a network on a box, in place of a tensor.

    Args:
        tape: what came before.
        position: on the tape.
    """

    def __init__(self, tape: Tape, position: int) -> None:
        self.tape, self.position = tape, position

    @classmethod
    def over(cls, point: Tensor, low: Tensor, high: Tensor, tape: Tape | None = None) -> Span:
        """The input of a network: `(B, ...)` points and the ends of the box around each."""
        own = tape or Tape()
        return cls(own, own.add(Step((), point, low, high)))

    @property
    def step(self) -> Step:
        """What is known of it."""
        return self.tape.steps[self.position]

    @property
    def shape(self) -> torch.Size:
        """Of the tensor it stands for."""
        return self.step.point.shape

    @property
    def dtype(self) -> torch.dtype:
        """Of the tensor it stands for."""
        return self.step.point.dtype

    @property
    def device(self) -> torch.device:
        """Of the tensor it stands for."""
        return self.step.point.device

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.step.point.dim()

    def dim(self) -> int:
        """Number of axes."""
        return self.step.point.dim()

    def size(self, axis: int | None = None) -> Any:
        """The shape, or the length of one axis."""
        return self.shape if axis is None else self.shape[axis]

    def __len__(self) -> int:
        return len(self.step.point)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from holdfast.ops.span_rules import ruled

        return ruled(getattr(func, "__name__", str(func)), args, kwargs or {})

    def __getattr__(self, name: str) -> Any:
        from holdfast.ops.span_rules import RULES, ruled

        if name not in RULES:
            raise NoRule(f"boxes have no {name}")
        return lambda *args, **kwargs: ruled(name, (self, *args), kwargs)

    def __add__(self, other: Any) -> Any:
        return self.add(other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self.sub(other)

    def __rsub__(self, other: Any) -> Any:
        return self.neg().add(other)

    def __mul__(self, other: Any) -> Any:
        return self.mul(other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self.div(other)

    def __neg__(self) -> Any:
        return self.neg()

    def __getitem__(self, where: Any) -> Any:
        return self.select_part(where)
