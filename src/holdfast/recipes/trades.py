"""Training for accuracy and for stability."""

from __future__ import annotations

from holdfast.core.catalog import register
from holdfast.core.fields import Part, settings
from holdfast.core.kinds import Objective
from holdfast.run.loop import Training


@register("recipe", cites="trades", name="trades", says="Clean loss plus stability under attack.")
@settings
class TradesTraining(Training):
    """TRADES: the clean loss plus how far an attack can move the prediction.

    Choose the threat with `.against(threat)`. All settings are those of
    `holdfast.run.loop.Training`; attack and weight are the objective's.

    Cost: with ten steps of attack, fourteen forward and twelve backward passes over the data
    per epoch.
    """

    objective: Part[Objective] = "objective:trades"
