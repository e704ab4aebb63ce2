"""Adversarial training on short attacks, for when time is what is short."""

from __future__ import annotations

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.recipes.standard import Standard

SHORT_AT = register(
    "recipe", cites="fast-at", name="short-at",
    says="Adversarial training on attacks of three steps: more epochs in the same time.",
)(Standard(
    objective=AdversarialTraining(attack=PGD(steps=3, travel=2.5, climb="soft")),
))  # fmt: skip
