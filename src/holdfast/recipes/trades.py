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

    Choose the threat with `.against(threat)`. Of
    all settings attack and weight are the objective's.

    Cost: with ten steps of attack, fourteen forward and twelve backward passes over the data
    per epoch.

    Args:
        objective: one loss per row.
        backward: how gradients are made from it.
        optimizer: made for the parameters that need gradients.
        hooks: called at each stage, in this order.
        epochs: passes over the data.
        schedule: form of the learning rate over the run.
        warmup: share of the run in which the rate grows.
        accumulate: batches per step.
        precision: bits of matrix products.
        turns: further players.
    """

    objective: Part[Objective] = "objective:trades"
