"""A colour goes along with the label in most rows: the worst group with groups that count alike."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.trustworthy_causal_survey import Counted, evenly
from holdfast.recipes.rare import BALANCED
from holdfast.recipes.standard import Standard


@cache
def worst(seed: int, kind: str) -> float:
    """Accuracy of the worst pair of label and colour, all pairs being as common."""
    plan = Standard() if kind == "plain" else BALANCED
    if kind == "weighs-large-groups":
        plan = replace(plan, hooks=(Counted(),))
    return evenly(seed, plan, grouped=kind != "forgets-the-groups")


def trial(seed: int, mutant: str = "") -> Trial:
    """Worst group with balanced groups and without."""
    left, right = worst(seed, mutant), worst(seed, "plain")
    return Trial(left, right, left > right + 0.1)


CLAIM = Claim(
    paper="simple-data-balancing",
    methods=("recipe:balanced-groups",),
    says="Where a colour agrees with the label in 95 % of the learned rows, groups that count "
    "alike raise the accuracy of the worst pair of label and colour by more than 10 points.",
    left="accuracy of the worst group, groups counting alike",
    right="the same with rows counting alike",
    trial=trial,
    mutants=("weighs-large-groups", "forgets-the-groups"),
    seconds=10,
)
