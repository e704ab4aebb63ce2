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

SEEDS = (31, 32, 33, 34, 35)
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


@cache
def _means(mutant: str) -> tuple[int, float, float]:
    """Over all seeds: how often the order is right, and mean gains of both accuracies."""
    right, clean, hard = 0, 0.0, 0.0
    for seed in SEEDS:
        least, most = _ends(seed, mutant)
        right += _alone(seed, least) > _alone(seed, most)
        careless = replace(RIFT, layer=_layers(seed).most, tolerance=1.0)
        tuned = _tuned(seed, careless if mutant == "no-regard" else RIFT)
        after, before = scores(tuned, seed), scores(hardened(seed), seed)
        clean, hard = clean + after[0] - before[0], hard + after[1] - before[1]
    return right, clean / len(SEEDS), hard / len(SEEDS)


def _ends(seed: int, mutant: str) -> tuple[str, str]:
    """The least and the most critical layer."""
    ends = _layers(seed).least, _layers(seed).most
    return ends[::-1] if mutant == "takes-the-most-critical-layer" else ends


def trial(seed: int, mutant: str = "") -> Trial:
    """Robust accuracy after tuning the least and the most critical layer without regard to it."""
    least, most = (_alone(seed, layer) for layer in _ends(seed, mutant))
    right, clean, hard = _means(mutant)
    holds = right >= len(SEEDS) - 1 and clean >= 0 and hard >= -0.005
    return Trial(least, most, holds)


CLAIM = Claim(
    paper="rift",
    methods=("measure:robust-criticality", "recipe:rift"),
    says="With four of five seeds the least critical layer, tuned on clean rows all the way, "
    "leaves more robust accuracy than the most critical one; tuned as far as held-out rows allow, "
    "it costs no clean and at most half a point of robust accuracy in the mean.",
    left="robust accuracy after tuning the least critical layer alone",
    right="robust accuracy after tuning the most critical layer alone",
    trial=trial,
    seeds=SEEDS,
    mutants=("takes-the-most-critical-layer", "no-regard"),
    seconds=30,
    quick=False,
)
