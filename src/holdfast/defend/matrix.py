"""Matrix scaling: a linear map of the logits."""

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
class Mapped:
    """A model whose logits go through a linear map.

    Args:
        base: the model.
        weights: row k makes logit k; empty leaves the logits as they are.
        offsets: one per class.
    """

    base: Model
    weights: tuple[tuple[float, ...], ...]
    offsets: tuple[float, ...]

    def __call__(self, x: Any) -> Outputs:
        """The outputs of the base, its logits mapped."""
        out = self.base(x)
        if not self.weights:
            return out
        z = logits(out)
        if z.shape[-1] != len(self.weights):
            raise Unsupported(
                f"weights of {len(self.weights)} classes do not fit {z.shape[-1]} outputs",
                fix="Fit the matrix anew on a model of as many classes.",
            )
        return with_logits(out, z @ z.new_tensor(self.weights).T + z.new_tensor(self.offsets))


@register(
    "defence",
    name="matrix-scaling",
    cites="guo2017calibration",
    says="Mixes the logits by a matrix fitted on trusted rows; decisions may change.",
)
@settings
class MatrixScaling:
    """Maps the logits linearly; right where classes take confidence from each other.

    `fit` finds the matrix and offsets that make the labels of trusted rows most likely; the loss
    is convex. With K classes there are K (K + 1) numbers to learn: where trusted rows are few it
    overfits, and the weight on the distance from leaving everything as it is holds it back.

    Unlike the paper: that weight, which its authors' later followers added; without it the
    optimum need not exist.

    Args:
        weights: row k makes logit k; none leaves the model as it is.
        offsets: one per class.
        decay: weight of the squared distance from the identity and offsets 0, in `fit`.
        steps: at most so many iterations of L-BFGS, in `fit`.

    Cost: nothing beyond the model; fitting takes one forward pass per trusted row.
    """

    weights: tuple[tuple[float, ...], ...] = ()
    offsets: tuple[float, ...] = ()
    decay: NonNegative = 1e-4
    steps: Count = 200

    def __call__(self, model: Model) -> Mapped:
        """The model with its logits mapped."""
        sides = {len(row) for row in self.weights} | {len(self.weights), len(self.offsets)}
        if len(sides) != 1:
            raise ShapeError(
                f"weights and offsets of different sizes {sorted(sides)}",
                fix="Give weights (K, K) and offsets (K,) for the K classes of the model.",
            )
        return Mapped(model, self.weights, self.offsets)

    def fit(self, model: Model, trusted: Batches) -> MatrixScaling:
        """The map of least cross-entropy on trusted rows.

        Args:
            model: in eval mode.
            trusted: rows that the model was not trained on; rows without label are left out.

        Raises:
            ShapeError: if no trusted row has a label.
        """
        z, y = trusted_logits(model, trusted, "MatrixScaling.fit")
        start = torch.cat([torch.eye(z.shape[1]).to(z), torch.zeros_like(z[:1])])
        found = likeliest(lambda w: z @ w[:-1].T + w[-1], start, y.long(), self.decay, self.steps)
        *weights, offsets = (tuple(row) for row in found.tolist())
        return replace(self, weights=tuple(weights), offsets=offsets)
