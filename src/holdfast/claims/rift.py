"""Tuning the layer that robustness needs least, and the one it needs most."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache

from torch import nn

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.short_runs import JUDGE, THREAT, hardened, rows, scores
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.hooks.freeze import TuneOnly
from holdfast.measures.model.criticality import Criticality, robust_criticality
from holdfast.recipes.standard import Standard
from holdfast.recipes.tuned import RobustCriticalTuning

FAST = Later("torch:Adam", lr=3e-3)
RIFT = RobustCriticalTuning(threat=THREAT, attack=JUDGE, optimizer=FAST, epochs=30, points=10)


def _tuned(seed: int, recipe: RobustCriticalTuning) -> nn.Module:
    model = deepcopy(hardened(seed))
    recipe(model, rows(seed)[0])
    return model


@cache
def _layers(seed: int) -> Criticality:
    return robust_criticality(hardened(seed), rows(seed)[0], threat=THREAT, attack=JUDGE)


@cache
def _alone(seed: int, layer: str) -> float:
    """Robust accuracy after tuning one layer with no regard to robustness, all the way."""
    model, data = deepcopy(hardened(seed)), rows(seed)[0]
    plan = Standard(hooks=(TuneOnly(names=(layer,)),), optimizer=FAST, epochs=30)
    plan(model, data, dice=Dice.of(len(data), seed))
    return scores(model, seed)[1]


def trial(seed: int, mutant: str = "") -> Trial:
    """Robust accuracy after tuning the least and the most critical layer without regard to it."""
    layers = _layers(seed)
    first, last = layers.least, layers.most
    if mutant == "takes-the-most-critical-layer":
        first, last = last, first
    least, most = _alone(seed, first), _alone(seed, last)
    recipe = replace(RIFT, layer=layers.most, tolerance=1.0) if mutant == "no-regard" else RIFT
    before, after = scores(hardened(seed), seed), scores(_tuned(seed, recipe), seed)
    kept = after[0] >= before[0] - 0.005 and after[1] >= before[1] - 0.02
    return Trial(least, most, least > most and kept)


CLAIM = Claim(
    paper="rift",
    methods=("measure:robust-criticality", "recipe:rift"),
    says="Tuned on clean rows all the way, the least critical layer leaves more robust accuracy "
    "than the most critical one; tuned as far as held-out rows allow, it costs at most half a "
    "point of clean and two points of robust accuracy.",
    left="robust accuracy after tuning the least critical layer alone",
    right="robust accuracy after tuning the most critical layer alone",
    trial=trial,
    seeds=(31, 32, 33),
    mutants=("takes-the-most-critical-layer", "no-regard"),
    seconds=30,
    quick=False,
)
