"""Confidence after a small step that raises it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.fields import NonNegative, Positive, settings
from holdfast.core.goal import logits
from holdfast.core.inputs import one_tensor, with_slope
from holdfast.core.kinds import Detector, Model, Score
from holdfast.core.quiet import quiet
from holdfast.detect.features import ANSWER, distrust, features
from holdfast.ops.batch import Inputs


@dataclass(frozen=True, eq=False)
class Stepped:
    """Minus the log of the largest tempered probability after the step.

    Args:
        model: whose answers are doubted.
        temperature: the logits are divided by it.
        step: length of the step in each coordinate.
    """

    model: Model
    temperature: float
    step: float

    def __call__(self, x: Inputs, y: Tensor | None = None) -> Tensor:
        x = one_tensor(x, "detector:odin", floating=True)
        if self.step:
            with quiet(self.model), torch.enable_grad():
                start = x.detach().requires_grad_()
                sure = self._sure(logits(self.model(start)))
                with_slope(sure, "detector:odin")
                (slope,) = torch.autograd.grad(sure.sum(), start)
            x = x + self.step * slope.sign()
        z = features(self.model, x, ANSWER)
        return torch.where(z.isfinite().all(1), distrust(-self._sure(z)), torch.inf)

    def _sure(self, z: Tensor) -> Tensor:
        return (z / self.temperature).log_softmax(1).amax(1)


@register("detector", cites="ood-scores")
@settings
class ODIN(Detector):
    """Largest tempered probability after one step of the input that raises it.

    The step raises the confidence in familiar inputs more than that in foreign ones, and a high
    temperature makes the differences between all logits count, not the largest alone.

    Cost: two forward passes and a backward pass per row, none to fit.

    Args:
        temperature: the logits are divided by it.
        step: length of the step in each coordinate, in input units; 0 takes none.
    """

    temperature: Positive = 1000.0
    step: NonNegative = 0.0014

    def fit(self, model: Model, trusted: Batches) -> Score:
        return Stepped(model, self.temperature, self.step)
