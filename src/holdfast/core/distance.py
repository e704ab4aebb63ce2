"""Goals about outputs that should equal something: images, fields, reconstructions."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from holdfast.core.endless import Endless
from holdfast.core.errors import ShapeError
from holdfast.core.margin import Outputs, logits


@dataclass(frozen=True, eq=False)
class Farthest(Endless):
    """The output farthest from a target, as a squared error over a scale; never content.

    Args:
        target: `(B, ...)` of the form of the outputs.
        scale: `(B,)` what squared errors are divided by, above 0.
    """

    target: Tensor
    scale: Tensor

    def soft(self, outputs: Outputs) -> Tensor:
        out = logits(outputs)
        if out.shape != self.target.shape:
            raise ShapeError(
                f"outputs {tuple(out.shape)} do not match a target {tuple(self.target.shape)}",
                fix="The model must return something of the form of its target.",
            )
        off = (out - self.target.to(out)).abs().square().flatten(1).sum(1)
        return off / self.scale.to(off)

    def take(self, rows: Tensor | slice) -> Farthest:
        return Farthest(self.target[rows], self.scale[rows])
