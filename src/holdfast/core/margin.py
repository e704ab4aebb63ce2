"""The margin with ways: how far the adversary is ahead, as one number per row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.errors import ShapeError, Unsupported

Outputs = Tensor | tuple[Tensor, ...]


def logits(outputs: Outputs) -> Tensor:
    """The logits of a model's outputs: the tensor itself, or the first of a named tuple."""
    return outputs if isinstance(outputs, Tensor) else outputs[0]


class Climbed(NamedTuple):
    """The smooth margin at some outputs.

    Args:
        margin: `(B,)` the margin itself.
        slope: `(B, K)` the gradient of the height with respect to the logits.
        height: computes `(B,)` what is climbed: the logsumexp of the ways, or a rising function
            of it. An ascent whose steps are given never asks.
    """

    margin: Tensor
    slope: Tensor
    height: Callable[[], Tensor]


class Goal(ABC):
    """A margin with ways: how far the adversary is ahead on each way to win."""

    @abstractmethod
    def ways(self, outputs: Outputs) -> Tensor:
        """`(B, W)`: the margin of each way to win; -inf where a way is closed."""

    @abstractmethod
    def take(self, rows: Tensor | slice) -> Goal:
        """The goal of a selection of rows."""

    def __call__(self, outputs: Outputs) -> Tensor:
        """`(B,)`: margin of the best way; a row is safe iff it is negative: a tie is won."""
        return self.ways(outputs).amax(-1)

    def soft(self, outputs: Outputs) -> Tensor:
        """`(B,)`: softplus of the logsumexp of the ways; for a label exactly the cross-entropy."""
        return F.softplus(torch.logsumexp(self.ways(outputs), -1))

    def uphill(self, outputs: Outputs) -> Climbed | None:
        """What an ascent of the smooth margin needs, by formula; None where only autograd knows it.

        Args:
            outputs: of the model; no gradient is taken of them.
        """
        return None

    def linear(self, classes: int) -> tuple[Tensor, Tensor]:
        """The ways as `C z + c` of the logits z: `(B, W, K)` and `(B, W)`.

        Raises:
            Unsupported: if the goal is not linear in the logits.
        """
        raise Unsupported(
            f"{type(self).__name__} is not linear in {classes} logits",
            fix="Certify an untargeted or targeted goal instead.",
        )


def matched(z: Tensor, count: int, dim: int, who: str) -> Tensor:
    """The logits, if they have that many axes and that many rows.

    Raises:
        ShapeError: naming the goal and both shapes.
    """
    if z.dim() != dim or len(z) != count:
        raise ShapeError(
            f"{who}: outputs {tuple(z.shape)} do not match {count} labels",
            fix="The model must return logits (B, K), one row per label.",
        )
    return z
