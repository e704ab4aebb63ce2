"""The goal of a synthesis: an image that a class is certain of, and that keeps what must stay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from holdfast.core.endless import Endless
from holdfast.core.goal import Outputs, logits
from holdfast.core.kinds import Model, Readout


@dataclass(frozen=True, eq=False)
class Towards(Endless):
    """The image that a class is most certain of, and that keeps what must be kept.

    Args:
        y: `(B,)` classes to be reached; None where `readout` says what is wanted.
        seen: `(B, ...)` the image whose known part must stay, or None.
        known: `(B, ...)` or broadcast: 1 where it must stay.
        weight: of the mean squared change of the known part, against the loss in nats.
        readout: of the model's outputs, to be raised instead of a class.
    """

    y: Tensor | None
    seen: Tensor | None = None
    known: Tensor | None = None
    weight: float = 0.0
    readout: Readout | None = None

    def soft(self, outputs: Outputs) -> Tensor:
        """`(B,)`: minus the loss."""
        own, image = outputs
        if self.readout is not None:
            height = self.readout(own)
        else:
            y: Any = self.y
            height = -F.cross_entropy(logits(own), y.to(image.device), reduction="none")
        if self.seen is None or self.known is None:
            return height
        moved = ((image - self.seen) * self.known).square().flatten(1).mean(1)
        return height - self.weight * moved

    def take(self, rows: Tensor | slice) -> Towards:
        cut = {
            n: v[rows] for n in ("y", "seen", "known") if (v := getattr(self, n)) is not None
        }  # fmt: skip
        return replace(self, **cut)


@dataclass(frozen=True, eq=False)
class Shown:
    """A model that shows its input beside its outputs."""

    model: Model

    def __call__(self, x: Tensor) -> Any:
        return self.model(x), x
