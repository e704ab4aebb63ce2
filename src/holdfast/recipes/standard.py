"""Training on labels, and what is the same training with another objective."""

from __future__ import annotations

from dataclasses import replace

from holdfast.core.catalog import register
from holdfast.core.fields import Later, Part, settings
from holdfast.core.kinds import Objective
from holdfast.hooks.clip import ClipNorm
from holdfast.run.loop import Training


@register("recipe", cites="good1952rational", says="Cross-entropy on the data as they are.")
@settings
class Standard(Training):
    """Standard training: least cross-entropy on the data as they are.

    The yardstick of every other recipe: same loop, same budget, no defence. A recipe that only
    minimises something else is a preset of it; those against a threat take it by
    `.against(threat)`, and their attack and weights are settings of their objective.

    Cost: one forward and one backward pass over the data per epoch. With attacks of ten steps,
    twelve and eleven (adversarial training), fourteen and twelve (TRADES); with bounds, three and
    three, and a row of coefficients per class through the last layers.

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
        channels_last: order of memory of images meanwhile.
        compile: backend of `torch.compile` meanwhile.
    """

    objective: Part[Objective] = "objective:supervised"


PGD_AT = register(
    "recipe", cites="pgd-at", name="pgd-at",
    says="Adversarial training: every batch is first attacked, then learned.",
)(Standard(objective="objective:pgd-at"))  # fmt: skip

TRADES = register(
    "recipe", cites="trades", name="trades",
    says="The clean loss plus how far an attack can move the prediction.",
)(Standard(objective="objective:trades"))  # fmt: skip

# The published runs take ten times the epochs; ramps are shares of a run, and so scale with it.
_BOUNDS = Standard(
    objective="objective:ibp", optimizer=Later("torch:Adam", lr=1e-3), hooks=(ClipNorm(limit=8.0),),
    epochs=40, schedule="constant",
)  # fmt: skip

IBP = register(
    "recipe", cites="ibp-training", name="ibp",
    says="Learns the worst logits of growing boxes, so that interval bounds prove the rows.",
)(_BOUNDS)  # fmt: skip

CROWN_IBP = register(
    "recipe", cites="crown-ibp", name="crown-ibp",
    says="Learns the worst logits of growing boxes, by linear bounds while they are small.",
)(replace(_BOUNDS, objective="objective:crown-ibp"))  # fmt: skip

GLORO = register(
    "recipe", cites="gloro", name="gloro",
    says="Learns logits further apart than a Euclidean ball can move them, by Lipschitz constants.",
)(Standard(
    objective="objective:gloro", optimizer=Later("torch:Adam", lr=1e-2), epochs=40,
))  # fmt: skip
