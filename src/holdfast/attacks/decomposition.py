"""Climbs one term of the margin before the margin itself, so that neither drowns the other."""

from __future__ import annotations

from functools import partial
from math import cos, pi
from typing import ClassVar, Literal

import torch
from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.attacks.ascent import Heights, ascent
from holdfast.attacks.climb import CLIMBS, Height, margin
from holdfast.attacks.contest import at, between, contestants
from holdfast.attacks.ways import ranked, way
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.fields import Count, Decay, Natural, settings
from holdfast.core.goal import Goal, Outputs, Targeted, Untargeted, logits
from holdfast.core.kinds import Access, Attack, Model, Threat

AWAY, HELD, WON, LAST = "away", "held", "won", "last"  # what a step climbs


@register("attack", cites="md-attack", name="md", says="Climbs one term of the margin, then both.")
@settings
class MarginDecomposition(Attack):
    """Gradient ascent on one term of the margin, then on the margin.

    The margin is a difference of two terms: what would win, and what holds the row. Where the
    slope of one is many times that of the other, ascent on the margin follows the one and never
    finds out how far the other could rise. So every start is climbed twice: after a first step
    away from the goal, which spreads the starts, one run pushes down the term that holds the
    row, the other pushes up the one that would win; then both climb the margin.

    Properties: with `turn=0` it is projected gradient ascent on the margin with falling steps;
    terms that are probabilities are climbed through their log-odds, which have the same
    direction and never round to zero; the best point seen is returned; broken rows leave.

    Args:
        steps: gradient steps per run.
        turn: share of the steps after which the margin is climbed.
        restarts: starts, of two runs each.
        terms: `logits`, or `probabilities`, which weigh all other classes by how likely they are.
        last: what is climbed last: the `margin` between the terms, or that of the logits `dlr`.
        targets: how many ways to win get runs of their own, the likeliest at the clean input
            first; 0 climbs the best way at every step.

    Cost: `2 * (steps + 1)` forwards and `2 * steps` backwards per restart, target and unbroken
    row; one more forward per row with targets.

    Unlike the paper: the steps are the threat's own, so it works for any norm; targets are the
    likeliest classes (the published loop starts at the least likely one by accident). A goal
    that is no contest between classes has one term, which is climbed throughout.
    """

    access: ClassVar[Access] = Access.GRADIENT
    steps: Count = 50
    turn: Decay = 0.4
    restarts: Count = 1
    terms: Literal["logits", "probabilities"] = "logits"
    last: Literal["margin", "dlr"] = "margin"
    targets: Natural = 0

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        active = Active(model, x, goal, threat, dice)
        ways: list[Tensor | None] = [None]
        if self.targets and len(x):
            ways = [*ranked(model, x, goal, threat, threat.none(x), self.targets).unbind(1)]
        for number in range(2 * self.restarts * len(ways)):
            if not len(active):
                break
            chosen, term = ways[number // 2 % len(ways)], (HELD, WON)[number % 2]
            start = active.threat.sample(active.x, active.dice).detach()
            ascent(active, start, self._heights(term, chosen), self.lengths())
        return active.best

    def lengths(self) -> list[float]:
        """Lengths of the steps in radii: half a cosine wave, begun again at the turn."""
        turn = int(self.turn * self.steps)
        places = [i - 1 if i <= turn else i - turn - 1 for i in range(self.steps)]
        return [1 + cos(pi * place / (self.steps - turn)) for place in places]

    def _heights(self, term: str, chosen: Tensor | None) -> Heights:
        """What each step climbs: away from the goal, then one term, then the margin."""
        turn = int(self.turn * self.steps)

        def heights(step: int, rows: Tensor) -> Height:
            climbed = LAST if step >= turn else term if step else AWAY
            own = None if chosen is None else chosen[rows]
            return partial(self._height, climbed=climbed, chosen=own)

        return heights

    def _height(self, goal: Goal, outputs: Outputs, climbed: str, chosen: Tensor | None) -> Tensor:
        """`(B,)`: a term, or the margin, of the best way or of a chosen one."""
        if not isinstance(goal, Untargeted | Targeted):
            return margin(goal, outputs)
        z = logits(outputs)
        held, won = contestants(goal, z, chosen)
        if climbed != LAST:
            place = won if climbed == WON else held
            term = at(z, place) if self.terms == "logits" else odds(z, place)
            return -term if climbed == HELD else term
        if self.last == "dlr":
            return CLIMBS["dlr"](goal, outputs)
        if self.terms == "probabilities":
            return between(z, at(z, held), at(z, won))
        return margin(goal, outputs) if chosen is None else way(goal, outputs, chosen)


def odds(z: Tensor, place: Tensor) -> Tensor:
    """`(B,)`: the log-odds of a class: it rises with the class's probability, wherever that is."""
    return at(z, place) - z.scatter(1, place[:, None], -torch.inf).logsumexp(1)


MD_MT = register(
    "attack", cites="md-attack", name="md-mt", says="Margin decomposition towards each class."
)(MarginDecomposition(targets=9))
PMA = register(
    "attack", cites="pma", name="pma", says="Climbs a probability, then a margin of two of them."
)(MarginDecomposition(steps=100, turn=0.5, terms="probabilities"))
