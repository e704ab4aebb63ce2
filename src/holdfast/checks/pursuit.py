"""Attack a view of a model, and try on its judge what was found."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

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
from holdfast.ops.batch import pick
from holdfast.run.passes import Passes
from holdfast.run.search import Found, attack_name, judged, search, stronger
from holdfast.run.stages import Ledger, Stage


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
    attack: Attack,
    plan: Repaired,
    view: Model,
    x: Tensor,
    goal: Goal,
    *,
    dice: Dice,
    name: str = "",
) -> Found:
    """Attack a view and try on the judge what it found.

    What is counted are passes of the model, and a row is broken by the stage that found on the
    view what the judge confirms; by `tried` where the view knew nothing of it.

    Args:
        attack: run on the view.
        plan: judge, threat and grid.
        view: gives slopes; its margins steer the attack and count for nothing else.
        x: rows.
        goal: of these rows.
        dice: of these rows.
        name: of the stages in the ledger; the attack's unless given.
    """
    threat, name = plan.threat, name or attack_name(attack)
    aim = Beyond(goal, plan.error) if plan.error else goal
    near = _on_grid(threat, plan.levels) if isinstance(view, Snapped) else threat
    found = search(attack, view, x, aim, near, dice=dice)
    start = time.perf_counter()
    with quiet(plan.judge), torch.no_grad():
        none = threat.none(x)
        clean, finite = judged(goal, threat.through(plan.judge, x, none))
        best, margin, tries = none, clean, _candidates(found.change, x, threat, plan.levels)
        for change in tries:
            reached, whole = judged(goal, threat.through(plan.judge, x, change))
            better = reached > margin
            if getattr(threat, "coupled", False):  # one change for all rows, or the other
                better = torch.full_like(better, stronger(reached, margin))
            best, margin = pick(better, change, best), pick(better, reached, margin)
            finite = finite & whole
    look = calls(plan.judge).there * len(x)
    last = Stage(f"{name}: tried", len(x), forwards=look * len(tries))
    last = replace(last, seconds=time.perf_counter() - start)
    stages = [Stage("clean", len(x), forwards=look), *_of_view(attack, view, found, name), last]
    ledger, lost = Ledger((), None, len(x)), (margin >= 0).nonzero().flatten().tolist()
    by = torch.full((len(x),), -1) if found.by is None else found.by
    said = [0 if clean[k] >= 0 else int(by[k]) + 1 if by[k] > 0 else -1 for k in lost]
    ledger.add(stages, lost, [stages[k].name for k in said])
    passes = sum((Passes(s.forwards, s.backwards) for s in stages), Passes())
    return Found(best, margin, passes, clean, finite, *ledger.closed())


def _of_view(attack: Attack, view: Model, found: Found, name: str) -> list[Stage]:
    """The stages of a search on a view in passes of the model; by itself it breaks nothing."""
    own, kept = attack_name(attack), []
    for stage in found.stages:
        spent = calls(view).of(Passes(stage.forwards, stage.backwards))
        part = stage.name.removeprefix(own).removeprefix(": ")
        kept.append(replace(
            stage, name=f"{name}: {part}" if part else name, broken=0,
            forwards=spent.forwards, backwards=spent.backwards,
        ))  # fmt: skip
    return kept


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
