"""Training of wide nets by their kernels."""

from __future__ import annotations

from holdfast.core.catalog import register
from holdfast.core.fields import Later
from holdfast.hooks.clip import ClipNorm
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.recipes.standard import Standard

# Gradients are far longer than the limit, so every step has the length 0.1 in every direction.
ADV_NTK = register(
    "recipe", cites="adv-ntk", name="adv-ntk",
    says="Squared error under attack, by steps of one length: finds the times of a kernel net.",
)(Standard(
    objective=AdversarialTraining(loss="loss:squared"),
    optimizer=Later("torch:SGD", lr=100.0), hooks=(ClipNorm(limit=1e-3),),
    epochs=50, schedule="constant",
))  # fmt: skip
