"""Detectors that read only the logits: they learn nothing and cost one pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.fields import Positive, settings
from holdfast.core.kinds import Detector, Model, Score
from holdfast.detect.features import ANSWER, distrust, features
from holdfast.ops.batch import Inputs


@dataclass(frozen=True, eq=False)
class Doubt:
    """A score of the logits.

    Args:
        model: whose answers are doubted.
        temperature: the logits are divided by it; None takes the largest probability.
    """

    model: Model
    temperature: float | None = None

    def __call__(self, x: Inputs, y: Tensor | None = None) -> Tensor:
        z = features(self.model, x, ANSWER)
        if self.temperature is None:
            return distrust(-z.log_softmax(1).amax(1))
        return distrust(-self.temperature * torch.logsumexp(z / self.temperature, 1))


@register("detector", cites="ood-scores")
@settings
class MaxSoftmax(Detector):
    """Trusts an answer as far as its probability goes: minus the log of the largest one.

    The same ranking as one minus the largest probability, but without its rounding to zero
    for certain answers. A row with non-finite logits gets an infinite score.

    Cost: one forward pass per row, none to fit.
    """

    def fit(self, model: Model, trusted: Batches) -> Score:
        return Doubt(model)


@register("detector", cites="ood-scores")
@settings
class Energy(Detector):
    """Trusts inputs with large logits: minus the temperature times their logsumexp.

    Up to a constant this is the energy of the input in the model read as a density; unlike
    the largest probability it still tells apart inputs of equal confidence.

    Cost: one forward pass per row, none to fit.

    Args:
        temperature: the logits are divided by it.
    """

    temperature: Positive = 1.0

    def fit(self, model: Model, trusted: Batches) -> Score:
        return Doubt(model, self.temperature)
