"""An ensemble of ascents that spends its passes where rows are about to fall."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor

from holdfast.attacks.arms import armed, arms, mixed, towards
from holdfast.attacks.ascent import cosine
from holdfast.attacks.climb import margin
from holdfast.attacks.front import Front
from holdfast.attacks.leaders import Leaders
from holdfast.attacks.square import Square
from holdfast.attacks.tiers import Tier, tier_of
from holdfast.core.catalog import register, resolve
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Part, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Access, Attack, Model, Threat
from holdfast.run.passes import enter

LATE, BEST = 3, 3  # from this round on, so many losses climb: those that came nearest on the row
LONGER = 2.5  # times as many steps as a chase has one that is pursued, those of the chase included
POLISH, SETTLE, SMALL = 12, 30, 0.33  # steps from the best change, and how long the first is
AROUND = 0.3  # starts around the best change lie this share of the way from it to a draw
BLIND = 10  # queries of a model without slopes, in probes
NOTHING = 0.97  # share of the margin above which ascents have gained nothing


@register("attack", cites="autoattack", name="ensemble", says="Ascents that compete for passes.")
@settings
class AdaptiveEnsemble(Attack):
    """Ascents from many sides, on rows whose margin is nearly gone.

    One ascent from the input breaks most of what can be broken. What is left of a row's margin
    after it, as a share, does not depend on the scale of the outputs and tells well which rows
    can still fall; passes go there: a few steps towards each of the next ways to win as they rank
    at the best change (not at the input), and on towards those that came nearest; then rounds of
    random starts that climb different losses (all ways together, one of the next ways, the margin,
    that of the probabilities, one term of it first): all of them on rows about to fall, a scout on
    the others, and later those that came nearest on the row. Where several ascents of a row ended
    alike they found its top, and it is left alone. Small steps from and around the best change
    settle rows at the edge. Last, a short random search looks at rows where slopes led nowhere,
    since there they may be masked (`thorough`: at all rows). Rows above a tier's limits
    (`attacks/tiers.py`) are set aside as hopeless and counted in the ledger. Under a winding
    threat (patches, rotations) all rows start from many places; under the sum norm some rounds
    more come in from larger threats.

    Properties: the best change seen is returned; every decision about a row rests on that row
    alone, so batch size and shards change nothing; a broken row leaves all that runs on it.
    Where no slopes reach the change, or the threat has no steepest direction, the random search
    gets more queries; where the model shows decisions only, `decisions` is asked.

    Args:
        tier: `fast` for a look, `standard` for a report, `thorough` to leave nothing out.
        decisions: the attack for models whose outputs are decisions.

    Cost: passes of both kinds, as measured on small nets: 50 to 80 per row that stands (`fast`),
    100 to 300 (`standard`), 1,000 to 2,000 (`thorough`); 3 for a row that falls to the first step.

    Unlike AutoAttack: no stage is run on all rows, targets are ranked at the best change, there
    is no minimum-norm stage, and the random search is a probe.
    """

    access: ClassVar[Access] = Access.GRADIENT
    tier: Literal["fast", "standard", "thorough"] = "standard"
    decisions: Part[Attack] = "attack:hopskipjump"

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        front = Front(model, x, goal, threat, dice_or(dice, len(x)))
        tier = tier_of(self.tier, threat)
        if not len(x):
            return front.change
        try:
            front.sprint(mixed(tier.steps), cosine(tier.steps, tier.first))
        except Unsupported:
            return self._blind(front, tier)
        if not getattr(threat, "coupled", False):
            order = _targets(front, tier)
            _polish(front, tier, "polish", tier.polish, POLISH)
            _rounds(front, tier, order)
            _polish(front, tier, "settle", tier.settle, SETTLE)
            _polish(front, tier, "edge", tier.edge.sure, SETTLE, tier.edge.sides)
        else:
            _together(front, tier)
        _probe(front, tier)
        return front.change

    def _blind(self, front: Front, tier: Tier) -> Tensor:
        """No slopes: random search, and an attack on decisions where scores say nothing."""
        rows = torch.arange(len(front.x), device=front.x.device)
        if front.decides():
            enter(front.model, "decisions", len(rows))
            front.turn_over(rows, resolve(self.decisions))
        else:
            enter(front.model, "queries", len(rows))
            front.turn_over(rows, Square(steps=BLIND * tier.queries))
        return front.change


def _targets(front: Front, tier: Tier) -> Tensor:
    """Send rows towards further ways to win, as they rank at the best changes.

    Returns:
        `(B, W)` ways of each row, the nearest first; only those of unbroken rows are ranked.
    """
    rows = front.open()
    enter(front.model, "targets", len(front.open(tier.targets[0].sure)))
    if not len(rows):
        return torch.zeros((len(front.x), 0), dtype=torch.int64, device=front.x.device)
    ranks = front.ranked(rows)
    order = torch.zeros((len(front.x), ranks.shape[1]), dtype=torch.int64, device=rows.device)
    order[rows] = ranks
    most = min(tier.pursuit.sides, order.shape[1] - 1)
    leaders, first, lengths = Leaders(front.change, most), 1, cosine(tier.chase, tier.first)
    for wave in tier.targets:
        rows, last = front.open(wave.sure, wave.most, wave.ends), first + wave.sides
        if not len(rows) or first >= order.shape[1]:
            break
        ways = order[rows, first:last]
        starts = [front.threat.take(rows).none(front.x[rows]).detach()] * ways.shape[1]
        tell = partial(leaders.add, rows, ways)
        front.strike(rows, starts, towards(ways.T.flatten()), lengths, tell=tell)
        first = last
    rows = front.open(tier.pursuit.sure)
    enter(front.model, "pursuit", len(rows))
    if len(rows) and most:
        lengths = cosine(round(LONGER * tier.chase), tier.first)[tier.chase :]
        heights = towards(leaders.way[rows].T.flatten())
        front.strike(rows, list(leaders.change[rows].unbind(1)), heights, lengths)
    return order


def _polish(front: Front, tier: Tier, stage: str, near: float, steps: int, sides: int = 0) -> None:
    """Small steps from the best changes of rows near the edge, where other ascents end too early.

    Args:
        front: the rows.
        tier: says how long the first step is.
        stage: name in the ledger.
        near: largest share of the margin that may be left.
        steps: how many.
        sides: ascents from around the best change; 0: one from it.
    """
    rows = front.open(near) if near else front.open()[:0]
    enter(front.model, stage, len(rows))
    if len(rows):
        lengths = cosine(steps, SMALL * tier.first)
        around = [front.sampled(rows, f"{stage}/{side}", AROUND) for side in range(sides)]
        front.strike(rows, around or [front.change[rows]], lambda *_: margin, lengths, fresh=False)


def _rounds(front: Front, tier: Tier, order: Tensor) -> None:
    """Random starts: every arm once or a scout, then those arms that came nearest on the row."""
    kinds = torch.tensor(arms(front.goal, order.shape[1]), device=order.device)
    yields = torch.full((len(front.x), len(kinds)), -torch.inf, device=order.device)
    lengths = cosine(tier.run, tier.first)
    for number, wave in enumerate(tier.rounds):
        rows, sides = front.open(wave.sure, wave.most, wave.ends), wave.sides
        enter(front.model, f"round {number + 1}", len(rows))
        if not len(rows):
            continue
        late = number >= LATE
        ranked = yields[rows].sort(dim=1, descending=True, stable=True).indices
        best = BEST if late else len(kinds)
        which = ranked[:, torch.arange(sides, device=rows.device) % min(best, len(kinds))]
        starts = [
            front.sampled(rows, f"{number}/{side}", AROUND if late and side % 2 else 1.0)
            for side in range(sides)
        ]
        climbed, many = kinds[which.T.flatten()], rows.repeat(sides)
        heights = armed(climbed, order[many], tier.run)
        reached = front.strike(rows, starts, heights, lengths, widest=wave.wide)
        yields[rows] = yields[rows].scatter_reduce(1, which, reached.T.to(yields), "amax")


def _together(front: Front, tier: Tier) -> None:
    """One change for all rows: restarts, since no row can be followed alone."""
    rows = torch.arange(len(front.x), device=front.x.device)
    for number in range(len(tier.rounds)):
        enter(front.model, f"restart {number + 1}", len(rows))
        start = front.sampled(rows, f"restart {number}")
        front.strike(rows, [start], mixed(tier.run), cosine(tier.run, tier.first))


def _probe(front: Front, tier: Tier) -> None:
    """Queries without gradients: for rows whose slopes lead nowhere, and for those of a tier."""
    near = (front.left <= tier.probe) | (front.left >= NOTHING)
    rows = ((front.margin < 0) & near).nonzero().flatten()
    aside = len(front.open()) - len(rows)
    enter(front.model, "set aside", aside, aside)
    if len(rows):
        enter(front.model, "probe", len(rows))
        front.turn_over(rows, Square(steps=tier.queries))
