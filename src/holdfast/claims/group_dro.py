"""A colour goes along with the label in most rows: the worst group with weights by its losses."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.trustworthy_causal_survey import evenly
from holdfast.core.data import Batch
from holdfast.core.kinds import Run
from holdfast.hooks.group_dro import GroupDRO
from holdfast.recipes.standard import Standard
from holdfast.recipes.worst_group import GROUP_DRO

STEP = 0.1


class _Spares(GroupDRO):
    """Bug: the weight of a group falls with its loss, and rows are not divided by their number."""

    def share(self, run: Run, batch: Batch, losses: Tensor) -> Tensor | None:
        own = super().share(run, batch, losses)
        return None if own is None else (1 / own) / (1 / own).mean()


@cache
def worst(seed: int, kind: str) -> float:
    """Accuracy of the worst pair of label and colour, all pairs being as common."""
    plan = Standard() if kind == "plain" else replace(GROUP_DRO, hooks=(GroupDRO(step=STEP),))
    if kind == "spares-the-worst":
        plan = replace(plan, hooks=(_Spares(step=STEP),))
    return evenly(seed, plan, grouped=kind != "forgets-the-groups")


def trial(seed: int, mutant: str = "") -> Trial:
    """Worst group with weights by losses and without."""
    left, right = worst(seed, mutant), worst(seed, "plain")
    return Trial(left, right, left > right + 0.1)


CLAIM = Claim(
    paper="group-dro",
    methods=("hook:group-dro", "recipe:group-dro"),
    says="Where a colour agrees with the label in 95 % of the learned rows, weights of groups that "
    "grow with their losses raise the accuracy of the worst pair of label and colour by more than "
    "10 points.",
    left="accuracy of the worst group, groups weighed by their losses",
    right="the same with rows counting alike",
    trial=trial,
    mutants=("spares-the-worst", "forgets-the-groups"),
    seconds=10,
)
