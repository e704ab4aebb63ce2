"""An ensemble of ascents that spends its passes where rows are about to fall."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from holdfast.attacks.arms import armed, arms, mixed, towards
from holdfast.attacks.front import Front
from holdfast.attacks.square import Square
from holdfast.core.catalog import register, resolve
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Part, settings
from holdfast.core.goal import Goal, logits
from holdfast.core.kinds import Access, Attack, Model, Threat
from holdfast.run.passes import enter


@dataclass(frozen=True)
class Tier:
    """How much an ensemble may spend, by how much of a row's margin is still left.

    Args:
        steps: of the first ascent.
        targets: for each group of three further ways to win, the largest share of the margin that
            may be left for a row to be sent towards them.
        chase: steps towards a way.
        rounds: for each round of random starts, the largest share that may be left.
        run: steps from a random start.
        queries: of the probe without gradients.
        probe: largest share that may be left for it.
    """

    steps: int
    targets: tuple[float, ...]
    chase: int
    rounds: tuple[float, ...]
    run: int
    queries: int
    probe: float


TIERS = {
    "fast": Tier(15, (0.25,), 10, (0.01,), 15, 20, 0.0),
    "standard": Tier(
        20, (0.45, 0.35, 0.15), 12, (0.06, 0.03, 0.03, 0.03) + (0.015,) * 4, 20, 80, 0.01
    ),
    "thorough": Tier(30, (1.0,) * 3, 15, (1.0, 0.2, 0.1, 0.1, 0.05, 0.05), 25, 400, 1.0),
}
GROUP, SIDES = 3, 6  # ascents of a row that run side by side: towards ways, and from random starts
BEST = 3  # losses that climb again after the first round: those that came nearest on the row
AROUND = 0.3  # every second later start lies this share of the way from the best change to a draw
BLIND = 10  # queries of a model without slopes, in probes
NOTHING = 0.97  # share of the margin above which ascents have gained nothing


@register("attack", cites="autoattack", name="ensemble", says="Ascents that compete for passes.")
@settings
class AdaptiveEnsemble(Attack):
    """Ascents from many sides, on rows whose margin is nearly gone.

    One ascent from the input breaks most of what can be broken. What is left of a row's margin
    after it, as a share, does not depend on the scale of the outputs and tells well which rows
    can still fall; passes go there: ascents towards the next ways to win as they rank at the best
    change (not at the input), then rounds of random starts, each climbing another loss (all ways
    together, one way, the probability margin, one term of the margin before the margin itself);
    after the first round the losses that came nearest on the row climb again. Last, a short
    random search without gradients looks at the nearest rows, and at rows where slopes led
    nowhere, since there they may be masked. Rows above a tier's limits are set aside as hopeless
    and counted in the ledger; `thorough` sends every row everywhere once, and only repeats on some.

    Properties: the best change seen is returned; every decision about a row rests on that row
    alone, so batch size and shards change nothing; a broken row leaves all that runs on it.
    Where no slopes reach the change, or the threat has no steepest direction, the random search
    gets more queries; where the model shows decisions only, `decisions` is asked.

    Args:
        tier: `fast` for a first look, `standard` for a number to report, `thorough` to leave
            nothing out.
        decisions: the attack for models whose outputs are decisions.

    Cost: forwards and backwards together, as measured on small nets: about 50 per row that
    stands (`fast`), 100 to 300 (`standard`), 1,000 to 2,000 (`thorough`); 3 for a row that falls
    to the first step.

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
        tier = TIERS[self.tier]
        if not len(x):
            return front.change
        try:
            front.sprint(mixed(tier.steps), tier.steps)
        except Unsupported:
            return self._blind(front, tier)
        if not getattr(threat, "coupled", False):
            order = _targets(front, tier)
            _rounds(front, tier, order)
        else:
            _together(front, tier)
        _probe(front, tier)
        return front.change

    def _blind(self, front: Front, tier: Tier) -> Tensor:
        """No slopes: random search, and an attack on decisions where scores say nothing."""
        rows = torch.arange(len(front.x), device=front.x.device)
        if _decides(front):
            enter(front.model, "decisions", len(rows))
            front.turn_over(rows, resolve(self.decisions))
        else:
            enter(front.model, "queries", len(rows))
            front.turn_over(rows, Square(steps=BLIND * tier.queries))
        return front.change


def _decides(front: Front) -> bool:
    """Whether the outputs are decisions: one class at the same value everywhere, others at 0."""
    with torch.no_grad():
        outputs = logits(front.threat.through(front.model, front.x, front.change)).flatten(1)
    top = outputs.amax(1)
    return bool(((outputs == 0) | (outputs == top[:, None])).all() and (top == top[0]).all())


def _targets(front: Front, tier: Tier) -> Tensor:
    """Send rows towards further ways to win, as they rank at the best changes.

    Returns:
        `(B, W)` ways of each row, the nearest first; only those of unbroken rows are ranked.
    """
    rows = front.open()
    enter(front.model, "targets", len(front.open(tier.targets[0])))
    if not len(rows):
        return torch.zeros((len(front.x), 0), dtype=torch.int64, device=front.x.device)
    ways = front.ways(rows)
    order = torch.zeros((len(front.x), ways.shape[1]), dtype=torch.int64, device=rows.device)
    order[rows] = ways.sort(dim=1, descending=True, stable=True).indices
    for group, most in enumerate(tier.targets):
        rows, first = front.open(most), 1 + group * GROUP
        chosen = order[rows, first : first + GROUP].T
        if not chosen.numel():
            break
        none = front.threat.take(rows).none(front.x[rows]).detach()
        front.strike(rows, [none] * len(chosen), towards(chosen.flatten()), tier.chase)
    return order


def _rounds(front: Front, tier: Tier, order: Tensor) -> None:
    """Random starts: every arm once, then those that came nearest on the row."""
    kinds = torch.tensor(arms(front.goal, order.shape[1]), device=order.device)
    yields = torch.full((len(front.x), len(kinds)), -torch.inf, device=order.device)
    for number, most in enumerate(tier.rounds):
        rows = front.open(most)
        enter(front.model, f"round {number + 1}", len(rows))
        if not len(rows):
            return
        best = min(len(kinds), BEST) if number else len(kinds)
        ranked = yields[rows].sort(dim=1, descending=True, stable=True).indices
        sides = 2 * SIDES if number else SIDES
        which = ranked[:, torch.arange(sides, device=rows.device) % best]
        starts = [
            front.sampled(rows, f"{number}/{side}", AROUND if number and side % 2 else 1.0)
            for side in range(which.shape[1])
        ]
        climbed, many = kinds[which.T.flatten()], rows.repeat(which.shape[1])
        reached = front.strike(rows, starts, armed(climbed, order[many], tier.run), tier.run)
        yields[rows] = yields[rows].scatter_reduce(1, which, reached.T.to(yields), "amax")


def _together(front: Front, tier: Tier) -> None:
    """One change for all rows: restarts, since no row can be followed alone."""
    rows = torch.arange(len(front.x), device=front.x.device)
    for number in range(len(tier.targets)):
        enter(front.model, f"restart {number + 1}", len(rows))
        start = front.sampled(rows, f"restart {number}")
        front.strike(rows, [start], mixed(tier.run), tier.run)


def _probe(front: Front, tier: Tier) -> None:
    """Queries without gradients for rows near the edge, and for rows whose slopes lead nowhere."""
    near = (front.left <= tier.probe) | (front.left >= NOTHING)
    rows = ((front.margin < 0) & near).nonzero().flatten()
    aside = len(front.open()) - len(rows)
    enter(front.model, "set aside", aside, aside)
    if len(rows):
        enter(front.model, "probe", len(rows))
        front.turn_over(rows, Square(steps=tier.queries))
