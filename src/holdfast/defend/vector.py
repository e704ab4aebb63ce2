"""Vector scaling: each logit with a scale and an offset of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.fields import Count, NonNegative, settings
from holdfast.core.goal import Outputs, logits
from holdfast.core.kinds import Model
from holdfast.defend.trusted import likeliest, trusted_logits, with_logits


@dataclass(frozen=True, eq=False)
class Scaled:
    """A model whose logits are scaled and moved, each by itself.

    Args:
        base: the model.
        scales: one per class; empty leaves the logits as they are.
        offsets: one per class.
    """

    base: Model
    scales: tuple[float, ...]
    offsets: tuple[float, ...]

    def __call__(self, x: Any) -> Outputs:
        """The outputs of the base, its logits changed."""
        out = self.base(x)
        if not self.scales:
            return out
        z = logits(out)
        if z.shape[-1] != len(self.scales):
            raise Unsupported(
                f"{len(self.scales)} scales do not fit {z.shape[-1]} classes",
                fix="Fit the scales anew on a model of as many classes.",
            )
        changed = z * z.new_tensor(self.scales) + z.new_tensor(self.offsets)
        return with_logits(out, changed)


@register(
    "defence",
    name="vector-scaling",
    cites="guo2017calibration",
    says="Scales and moves each logit by numbers fitted on trusted rows; decisions may change.",
)
@settings
class VectorScaling:
    """Gives each class a scale and an offset; right where classes are unequally over-confident.

    `fit` finds the numbers that make the labels of trusted rows most likely; the loss is convex,
    and a little weight on the distance from leaving everything as it is keeps the optimum finite
    where rows are separated perfectly. Unlike one temperature it can change answers.

    Args:
        scales: one per class; none leaves the model as it is.
        offsets: one per class.
        decay: weight of the squared distance from scales 1 and offsets 0, in `fit`.
        steps: at most so many iterations of L-BFGS, in `fit`.

    Cost: nothing beyond the model; fitting takes one forward pass per trusted row.
    """

    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    decay: NonNegative = 1e-4
    steps: Count = 200

    def __call__(self, model: Model) -> Scaled:
        """The model with its logits scaled and moved."""
        if len(self.scales) != len(self.offsets):
            raise ShapeError(
                f"{len(self.scales)} scales but {len(self.offsets)} offsets",
                fix="Give one scale and one offset per class.",
            )
        return Scaled(model, self.scales, self.offsets)

    def fit(self, model: Model, trusted: Batches) -> VectorScaling:
        """Scales and offsets of least cross-entropy on trusted rows.

        Args:
            model: in eval mode.
            trusted: rows that the model was not trained on; rows without label are left out.

        Raises:
            ShapeError: if no trusted row has a label.
        """
        z, y = trusted_logits(model, trusted, "VectorScaling.fit")
        start = torch.stack([torch.ones_like(z[0]), torch.zeros_like(z[0])])
        found = likeliest(lambda w: z * w[0] + w[1], start, y.long(), self.decay, self.steps)
        return replace(self, scales=tuple(found[0].tolist()), offsets=tuple(found[1].tolist()))
