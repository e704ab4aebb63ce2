"""Checks of poisoning, extraction and membership against answers that are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from holdfast.checks.extraction import Extraction
from holdfast.checks.membership import Membership
from holdfast.checks.poisoning import Poisoning
from holdfast.checks.threat_map import ThreatMap
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.core.kinds import Check, Recipe
from holdfast.core.records import Subject
from holdfast.recipes.standard import Standard

FAST = Standard(epochs=20, optimizer=Later("torch:Adam", lr=3e-3))


def bare(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Mutant: a trigger that changes nothing."""
    return batch


class Deaf:
    """Mutant: a training that ignores labels of the data and learns the true ones."""

    def __init__(self, truth: Batches) -> None:
        self.truth = truth

    def __call__(self, model: nn.Module, batches: Batches, *, dice: Dice | None = None) -> Any:
        return FAST(model, replace(batches, y=self.truth.y), dice=dice)


def make(seed: int) -> nn.Module:
    """A fresh net."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def asked(check: Check, subject: Subject) -> dict[str, float]:
    """All numbers of a check by name."""
    return {r.name: r.value for f in check(subject) for r in f.readings}


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy after flips, success of a backdoor, agreement of a copy, membership, the map."""
    learned, test = (replace(half, size=64) for half in digits(seed))
    judge = test.take(slice(0, 400))
    victim = make(seed + 50)
    FAST(victim, learned)
    subject = Subject(model=victim, make=make, trusted=learned, batches=judge, seed=seed)
    recipe: Recipe = Deaf(learned) if mutant == "flips-nothing" else FAST
    trigger: Any = bare if mutant == "forgets-trigger" else "shift:patch-trigger"
    found = asked(
        Poisoning(flips=(0.2, 0.4), poison=(0.05,), recipe=recipe, trigger=trigger), subject
    )
    falls = found["poisoning.clean"] > found["poisoning.flips.0.2"] > found["poisoning.flips.0.4"]
    obeys = found["poisoning.backdoor.0.05"] > found["poisoning.backdoor.0"] + 0.5
    copied = asked(Extraction(queries=(300,), recipe=FAST), subject)["privacy.extraction.300"]
    told = asked(Membership(), subject)["privacy.membership"]
    covered = asked(ThreatMap(), subject)["threats.covered"]
    good = falls and obeys and copied > 0.7 and 0.45 < told < 0.75 and 0 < covered < 1
    left, right = found["poisoning.flips.0.4"], found["poisoning.clean"]
    return Trial(left, right, good)


CLAIM = Claim(
    paper="dl-security-survey",
    methods=(
        "check:poisoning", "check:extraction", "check:membership", "check:threat-map",
        "shift:patch-trigger",
    ),
    says="Accuracy falls from 0 over 20 to 40 % of flipped labels, 5 % of poison make a trigger "
    "decide 50 points more answers, 300 answers make a copy that agrees on 70 %, and the map names "
    "classes that no check covers.",
    left="accuracy after training on 40 % of flipped labels",
    right="accuracy after training on clean labels",
    trial=trial,
    mutants=("flips-nothing", "forgets-trigger"),
    seconds=25,
    quick=False,
)  # fmt: skip
