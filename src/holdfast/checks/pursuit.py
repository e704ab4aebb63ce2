"""Attack a view of a model, and try on its judge what was found."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.checks.differences import Estimated
from holdfast.checks.repair import Repaired
from holdfast.checks.views import Inner, Mean, Snapped
from holdfast.core.catalog import build
from holdfast.core.dice import Dice
from holdfast.core.goal import Goal, Outputs
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.run.passes import Passes
from holdfast.run.search import Found, judged, search


@dataclass(frozen=True, eq=False)
class Beyond(Goal):
    """A goal that must be reached by a margin."""

    goal: Goal
    by: float

    def ways(self, outputs: Outputs) -> Tensor:
        return self.goal.ways(outputs) - self.by

    def take(self, rows: Tensor | slice) -> Beyond:
        return Beyond(self.goal.take(rows), self.by)


@dataclass(frozen=True)
class Calls:
    """Passes of the model that one pass of a view takes.

    Args:
        there: forwards per forward.
        back: backwards per backward.
        asked: forwards per backward.
    """

    there: int = 1
    back: int = 1
    asked: int = 0

    def of(self, seen: Passes) -> Passes:
        """What passes of the view cost in passes of the model."""
        forwards = self.there * seen.forwards + self.asked * seen.backwards
        return Passes(forwards, self.back * seen.backwards)


def calls(view: object) -> Calls:
    """What a view costs; a model that is no view costs itself."""
    if isinstance(view, Mean):
        inner, n = calls(view.model), view.repeats
        return Calls(n * inner.there, n * inner.back, n * inner.asked)
    if isinstance(view, Snapped):
        return calls(view.model)
    if isinstance(view, Estimated):
        inner = calls(view.model)
        return Calls(inner.there, 0, 2 * view.samples * inner.there)
    return Calls(there=2) if isinstance(view, Inner) else Calls()


def climbers(view: Model) -> tuple[Attack, ...]:
    """What is run on a view: different losses and starts; fewer where a slope takes 64 calls."""
    if isinstance(view, Estimated):
        return (build("attack:pgd", steps=40, momentum=0.5),)
    return (
        build("attack:apgd", steps=50),
        build("attack:apgd", steps=50, climb="margin"),
        build("attack:pgd", steps=50, travel=5.0),
    )


def pursue(
    attack: Attack, plan: Repaired, view: Model, x: Tensor, goal: Goal, *, dice: Dice
) -> Found:
    """Attack a view and try on the judge what it found.

    Args:
        attack: run on the view.
        plan: judge, threat and grid.
        view: gives slopes; its margins steer the attack and count for nothing else.
        x: rows.
        goal: of these rows.
        dice: of these rows.
    """
    threat = plan.threat
    aim = Beyond(goal, plan.error) if plan.error else goal
    near = _on_grid(threat, plan.levels) if isinstance(view, Snapped) else threat
    found = search(attack, view, x, aim, near, dice=dice)
    with quiet(plan.judge), torch.no_grad():
        none = threat.none(x)
        clean, finite = judged(goal, threat.through(plan.judge, x, none))
        best, margin, spent = none, clean, Passes(len(x), 0)
        for change in _candidates(found.change, x, threat, plan.levels):
            reached, whole = judged(goal, threat.through(plan.judge, x, change))
            better = (reached > margin).reshape(-1, *[1] * (change.dim() - 1))
            best, margin = torch.where(better, change, best), torch.maximum(reached, margin)
            finite, spent = finite & whole, spent + Passes(len(x), 0)
    passes = calls(view).of(found.passes) + Passes(spent.forwards * calls(plan.judge).there)
    return Found(best, margin, passes, clean, finite)


def _candidates(change: Tensor, x: Tensor, threat: Threat, levels: int) -> list[Tensor]:
    """The change, and the same on the grid of the inputs, inside the threat."""
    if not levels or change.shape != x.shape:
        return [change]
    near, inner = (f(change * levels) / levels for f in (torch.round, torch.trunc))
    fits = (threat.size(x, near) <= 1 + 1e-6).reshape(-1, *[1] * (change.dim() - 1))
    return [change, torch.where(fits, near, inner)]


def _on_grid(threat: Threat, levels: int) -> Threat:
    """The largest ball of the maximum norm inside the threat that ends on the grid."""
    radius = float(getattr(threat, "radius", 0.0))
    whole = int(radius * levels + 1e-6)
    if getattr(threat, "order", None) != float("inf") or not whole:
        return threat
    return threat.scaled(whole / (radius * levels))
