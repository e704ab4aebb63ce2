"""Presets of adversarial training: other objectives, labels, weights, averages and rates."""

from __future__ import annotations

from dataclasses import replace

from holdfast.core.catalog import register
from holdfast.core.fields import Later
from holdfast.hooks.ema import EMA
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.fast import FastAdversarialTraining
from holdfast.objectives.growing import GrowingThreat
from holdfast.recipes.standard import Standard

MART = register(
    "recipe", cites="mart", name="mart",
    says="The loss under attack, and stability where the clean prediction is wrong.",
)(Standard(objective="objective:mart"))  # fmt: skip

ADR = register(
    "recipe", cites="adr", name="adr",
    says="Adversarial training on labels that the model's own average has softened.",
)(Standard(objective="objective:pgd-at", hooks=("hook:rectified-labels",)))  # fmt: skip

DAFA = register(
    "recipe", cites="dafa", name="dafa",
    says="TRADES in which classes that are alike trade radius and weight.",
)(Standard(objective="objective:dafa"))  # fmt: skip

DONE = register(
    "recipe", cites="done-doubly-robust-at", name="doubly-robust",
    says="Adversarial training on the worst changes and the worst weights of the rows.",
)(Standard(objective="objective:pgd-at", hooks=("hook:kl-dro",)))  # fmt: skip

EMA_AT = register(
    "recipe", cites="weight-averaging-at", name="ema-at",
    says="Adversarial training that ends with a moving average of the weights.",
)(Standard(objective="objective:pgd-at", hooks=(EMA(decay=0.995),)))  # fmt: skip

AWP_AT = register(
    "recipe", cites="awp", name="awp-at",
    says="Adversarial training at weights that are moved uphill as well, by a hundredth.",
)(Standard(
    objective="objective:pgd-at", optimizer=Later("optimizer:awp", radius=0.01),
))  # fmt: skip

TRADES_AWP = register(
    "recipe", cites=("awp", "trades", "weight-averaging-at"), name="trades-awp",
    says="TRADES at weights that are moved uphill as well, ended by a moving average of them.",
)(Standard(
    objective="objective:trades", optimizer=Later("optimizer:awp", radius=0.005, wait=0.05),
    hooks=(EMA(decay=0.995),),
))  # fmt: skip

SWA_AT = register(
    "recipe", cites="weight-averaging-at", name="swa-at",
    says="Adversarial training that ends with the mean of its last epochs, at a constant rate.",
)(Standard(
    objective="objective:pgd-at", hooks=("hook:swa",), schedule="constant",
    optimizer=Later("torch:SGD", lr=0.01, momentum=0.9), epochs=40,
))  # fmt: skip

SMOOTHED_AT = register(
    "recipe", cites="label-smoothing", name="label-smoothing-at",
    says="Adversarial training that learns smoothed labels; the attack sees plain ones.",
)(Standard(objective=AdversarialTraining(loss="loss:label-smoothing")))  # fmt: skip

FINE_TUNING = register(
    "recipe", cites="adversarial-fine-tuning", name="adversarial-fine-tuning",
    says="A few epochs for a trained model, at a rate that starts slowly and falls fast.",
)(Standard(
    objective="objective:pgd-at", schedule="slowfast",
    optimizer=Later("torch:SGD", lr=0.1, momentum=0.9, weight_decay=5e-4),
))  # fmt: skip

FAST_AT = register(
    "recipe", cites="fast-at", name="fast-at",
    says="Adversarial training on one step from a random start.",
)(Standard(objective="objective:fast-at", schedule="onecycle"))  # fmt: skip

N_FGSM = register(
    "recipe", cites="fast-at", name="n-fgsm",
    says="One step from twice the noise, not brought back, within a threat that grows first.",
)(Standard(
    objective=GrowingThreat(base=FastAdversarialTraining(noise=2.0, travel=1.0, bounded=False)),
    schedule="onecycle",
))  # fmt: skip

EMA_N_FGSM = register(
    "recipe", cites=("fast-at", "weight-averaging-at"), name="ema-n-fgsm",
    says="N-FGSM within a threat that grows first, ended by a moving average of the weights.",
)(replace(N_FGSM, hooks=(EMA(decay=0.995),)))  # fmt: skip

GRAD_ALIGN = register(
    "recipe", cites="fast-at", name="grad-align",
    says="Adversarial training on one step, and a price on slopes that turn within the threat.",
)(Standard(objective=FastAdversarialTraining(align=0.2), schedule="onecycle"))  # fmt: skip

FREE_AT = register(
    "recipe", cites="fast-at", name="free-at",
    says="Adversarial training for free: repeated batches, whose backward pass moves the change.",
)(Standard(objective="objective:free-at", hooks=("hook:replay",), epochs=40))  # fmt: skip
