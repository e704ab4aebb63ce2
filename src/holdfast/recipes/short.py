"""Adversarial training on short attacks, for when time is what is short."""

from __future__ import annotations

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.growing import GrowingThreat
from holdfast.recipes.standard import Standard

_SHORT = AdversarialTraining(attack=PGD(steps=3, travel=2.5, climb="soft"))

SHORT_AT = register(
    "recipe", cites="fast-at", name="short-at",
    says="Attacks of three steps, for more epochs in the same time, within a growing threat.",
)(Standard(objective=GrowingThreat(base=_SHORT)))  # fmt: skip
