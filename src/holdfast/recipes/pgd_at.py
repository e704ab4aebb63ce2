"""Training against an attack."""

from __future__ import annotations

from holdfast.core.catalog import register
from holdfast.core.fields import Part, settings
from holdfast.core.kinds import Objective
from holdfast.run.loop import Training


@register("recipe", cites="pgd-at", name="pgd-at", says="Adversarial training with PGD.")
@settings
class PGDAdversarialTraining(Training):
    """Adversarial training: every batch is first attacked, then learned.

    Choose the threat with `.against(threat)`. All settings are those of
    `holdfast.run.loop.Training`; the attack is one of the objective's.

    Cost: with ten steps of attack, twelve forward and eleven backward passes over the data per
    epoch.
    """

    objective: Part[Objective] = "objective:pgd-at"
