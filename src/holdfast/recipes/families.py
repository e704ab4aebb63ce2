"""The few equations behind most trustworthy training, and which of them a recipe is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from holdfast.core.catalog import resolve
from holdfast.core.kinds import Hook
from holdfast.core.records import Report, Severity
from holdfast.hooks.augment import Augment
from holdfast.hooks.freeze import TuneOnly
from holdfast.objectives.invariance import DomainInvariance
from holdfast.run.loop import Training


@dataclass(frozen=True)
class Family:
    """One master equation on top of the mean loss.

    Args:
        name: of the family.
        equation: what is minimised.
        level: of Pearl's hierarchy: 1 association, 2 intervention, 3 counterfactual.
        needs: what the data must bring.
        stands_for: a method of the catalogue, as `kind:name`.
    """

    name: str
    equation: str
    level: int
    needs: str
    stands_for: str


ERM = Family("mean loss", "E l(f(x), y)", 1, "nothing", "objective:supervised")
INVARIANCE = Family(
    "invariance", "E l(h(g(x)), y) - lambda E l(d(g(x)), domain)", 2, "domains",
    "objective:domain-invariance",
)  # fmt: skip
WORST = Family(
    "worst case", "E max_A l(f(A(x)), y) + lambda dist(f(x), f(A(x)))", 2, "a threat",
    "objective:pgd-at",
)  # fmt: skip
AUGMENTATION = Family(
    "augmentation", "E l(f(A(x)), y) + lambda dist(f(x), f(A(x)))", 2, "a shift", "hook:augment"
)
REWEIGHTING = Family("reweighting", "sum_i w_i l_i", 2, "groups", "hook:balanced-groups")
FAMILIES = (ERM, INVARIANCE, WORST, AUGMENTATION, REWEIGHTING)

# What failed, by the section or name of a check, and what is trained against it.
_CURES = {
    "worst-case": (WORST,),
    "corruptions": (AUGMENTATION,),
    "slices": (REWEIGHTING, INVARIANCE),
}


def families(recipe: Any) -> tuple[Family, ...]:
    """The equations that a recipe is made of, read off its parts; nothing is kept by hand.

    A threat in its objective makes it a worst case, a hook that changes batches an augmentation,
    one that weighs rows a reweighting; otherwise it is the mean loss.

    Args:
        recipe: a training, or any other recipe, which counts as a worst case if it has a threat.
    """
    made = resolve(recipe)
    objective: Any = resolve(made.objective) if isinstance(made, Training) else made
    hooks = [resolve(h) for h in made.hooks] if isinstance(made, Training) else []
    found = []
    if isinstance(objective, DomainInvariance):
        found.append(INVARIANCE)
    if hasattr(objective, "threat"):
        found.append(WORST)
    seen = [h for h in hooks if not isinstance(h, TuneOnly)]  # it looks at the time, not the rows
    if any(isinstance(h, Augment) or type(h).batch is not Hook.batch for h in seen):
        found.append(AUGMENTATION)
    if any(type(h).share is not Hook.share for h in hooks):
        found.append(REWEIGHTING)
    return tuple(found) or (ERM,)


def recommended(report: Report) -> tuple[Family, ...]:
    """Which equations answer the failures of an audit, each once, in the order of the report."""
    failed = [
        o.check.partition(":")[2] for o in report.outcomes
        if any(f.severity >= Severity.WARNING for f in o.findings)
    ]  # fmt: skip
    return tuple(dict.fromkeys(cure for name in failed for cure in _CURES.get(name, ())))
