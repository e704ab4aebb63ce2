"""Robust learning from few labels: a teacher's answers, and robustness where it is needed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register, resolve
from holdfast.core.data import UNLABELLED, Batch
from holdfast.core.fields import (
    Ingredient,
    NonNegative,
    Part,
    Positive,
    Share,
    ingredient,
    settings,
)
from holdfast.core.goal import logits
from holdfast.core.inputs import one_label_each
from holdfast.core.kinds import Attack, Model, Objective, Run, Threat
from holdfast.losses.smoothed import label_smoothing
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.adversary import Departure, Mode, divergence, sought
from holdfast.objectives.teachers import answers_of, linear_teachers
from holdfast.threats.norms import LInf


def regularity(q: Tensor, p: Tensor, moved: Tensor, beta: float) -> Tensor:
    """`(B,)` in [0, 1]: how much the stability of each row counts.

    It is large where the teacher agrees with the student on the clean row, and where it
    disagrees with the student on the attacked one: where there is something to lose, and where
    it is being lost.

    Args:
        q: `(B, K)` probabilities of the teacher.
        p: `(B, K)` of the student.
        moved: `(B, K)` of the student under attack.
        beta: share of the first part.
    """
    return beta * (q * p).sum(-1) + (1 - beta) * (1 - (q * moved).sum(-1))


@register("objective", cites="srst-awr", name="awr", says="Robust learning from few labels.")
@settings
class AdaptivelyWeighted(Objective):
    """Semi-supervised robust training with adaptively weighted regularisation.

    A labelled row costs its cross-entropy with smoothed labels. An unlabelled row (label -100)
    costs the divergence from a semi-supervised teacher's answer, plus how far an attack can move
    the student's own prediction, weighted row by row by `regularity`. Through the weight flows a
    gradient too. Without both it is learning from the labels alone.

    Labelled rows are few; `core.data.mix(unlabelled, labelled, share)` repeats them so that each
    batch has a share of them, which is their weight in the loss.

    Cost per batch: the attack, three forward passes, one of the teacher.

    Unlike the paper: one mean over the batch, not one over labelled and one over unlabelled rows;
    the attack starts anywhere in the threat.

    Raises (when called):
        ConfigError: without a teacher.
        Unsupported: unless each row has one label.

    Args:
        teacher: inputs -> logits, in evaluation mode.
        attack: how the departure is sought.
        threat: which changes are admissible.
        weight: of the departure.
        teach: weight of the divergence from the teacher.
        beta: share of the agreement with the teacher in the row's weight.
        smooth: share of a label that is spread over all classes.
        temperature: of teacher and student in the divergence.
        mode: mode of the model during the attack.
    """

    teacher: Ingredient[Model] = ingredient()
    attack: Part[Attack] = PGD(steps=10, travel=2.5, climb="soft")
    threat: Part[Threat] = LInf()
    weight: NonNegative = 3.0
    teach: NonNegative = 1.0
    beta: Share = 0.5
    smooth: Share = 0.2
    temperature: Positive = 1.0
    mode: Mode = "eval"

    @classmethod
    def example(cls, world: Any) -> AdaptivelyWeighted:
        """With a linear teacher of four inputs, for the laws."""
        return cls(teacher=linear_teachers()[0])

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        one_label_each(batch.y, "AdaptivelyWeighted")
        x, threat = tensor_of(batch), resolve(self.threat)
        known = batch.y != UNLABELLED
        z = logits(run.model(x))
        labelled = label_smoothing(z, batch.y, amount=self.smooth)
        teacher = answers_of(self.teacher, x, "AdaptivelyWeighted")
        heat = self.temperature
        far = divergence((teacher / heat).log_softmax(-1), (z / heat).log_softmax(-1))
        free = self.teach * far
        if self.weight:

            def departure() -> Departure:
                fixed = answers_of(run.model, x, "AdaptivelyWeighted")
                return Departure(fixed.log_softmax(-1))

            change = sought(run, self.attack, x, departure, threat, self.mode)
            moved = logits(threat.through(run.model, x, change))
            need = regularity(teacher.softmax(-1), z.softmax(-1), moved.softmax(-1), self.beta)
            free = free + self.weight * need * divergence(z.log_softmax(-1), moved.log_softmax(-1))
        return torch.where(known, labelled, free)
