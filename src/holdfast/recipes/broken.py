"""Recipes that are known not to protect: for study, and refused by name otherwise."""

from __future__ import annotations

from holdfast.core.catalog import register
from holdfast.objectives.logit_pairing import LogitPairing
from holdfast.recipes.standard import Standard

LOGIT_PAIRING = register(
    "recipe", cites="alp-broken-defences", name="logit-pairing",
    says="Adversarial training with paired logits, which hides slopes more than it protects.",
    caution="the loss gets flat and bumpy around the rows, so short attacks fail and long ones win",
)(Standard(objective=LogitPairing(study=True)))  # fmt: skip
