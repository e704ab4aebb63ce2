"""Learning from the softened answers of a teacher."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.fields import Ingredient, Positive, ingredient, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Model, Objective, Run
from holdfast.core.quiet import quiet
from holdfast.losses.cross_entropy import cross_entropy
from holdfast.objectives.supervised import per_row
from holdfast.objectives.teachers import linear_teachers


@register(
    "objective", cites="fgsm-cw-distillation-report", name="distilled",
    says="The cross-entropy at a high temperature, with labels or a teacher's answers.",
)  # fmt: skip
@settings
class Distilled(Objective):
    """Defensive distillation: the cross-entropy of logits divided by a temperature.

    First a teacher is trained this way on labels (`teacher` left out), then a student on the
    teacher's softened answers; both are used at temperature 1. There the student's logits are
    about `temperature` times as large as usual, so that the cross-entropy of a right answer
    rounds to zero in float32. That masks the slope from attacks and is no robustness: see
    `measure:masking-gap`. At temperature 1 without a teacher it is training on labels.

    Cost: one forward pass, and one of the teacher.

    Args:
        teacher: inputs -> logits first; its answers replace the labels.
        temperature: what logits are divided by, of teacher and student alike.
    """

    teacher: Ingredient[Model] = ingredient()
    temperature: Positive = 20.0

    @classmethod
    def example(cls, world: Any) -> Distilled:
        """With a linear teacher of four inputs, for the laws."""
        return cls(teacher=linear_teachers()[0])

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        z = logits(run.model(batch.x)) / self.temperature
        target = batch.y
        if self.teacher is not None:
            with quiet(self.teacher), torch.no_grad():
                target = (logits(self.teacher(batch.x)) / self.temperature).softmax(-1)
        return per_row(cross_entropy(z, target), target)
