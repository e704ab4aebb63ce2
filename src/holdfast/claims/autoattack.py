"""Attacks of different kinds break together what none of them breaks alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.attacks.apgd import APGD
from holdfast.attacks.chain import AUTOATTACK_RAND, Chain
from holdfast.attacks.fab import FAB
from holdfast.attacks.square import Square
from holdfast.claims.harness import Claim, Trial
from holdfast.core.catalog import resolve, with_settings
from holdfast.core.dice import Dice
from holdfast.core.goal import Goal
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.run.search import search
from holdfast.testing.worlds import staircase, two_class
from holdfast.threats.norms import LInf

ROWS, STEPS, QUERIES = 16, 12, 100
SAMPLES = 20
BRIEF: dict[str, tuple[Attack, ...]] = {
    "standard": (APGD(steps=STEPS), FAB(aim="each", steps=STEPS)),
    "plus": (APGD(climb="dlr", steps=STEPS), FAB(steps=STEPS)),
}
SQUARE = Square(steps=QUERIES)


class _First(Chain):
    """Bug: stops after its first attack."""

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        return Chain(attacks=self.attacks[:1])(model, x, goal, threat, dice=dice)


class _Last(Chain):
    """Bug: hands back what the last attack found, on all rows."""

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        return resolve(self.attacks[-1])(model, x, goal, threat, dice=dice)


class Draws(nn.Module):
    """A linear model whose weights carry noise of their own, in slopes alone."""

    def __init__(self, weight: Tensor, bias: Tensor, seed: int) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self.draw = torch.Generator().manual_seed(seed)

    def forward(self, x: Tensor) -> Tensor:
        noise = torch.randn(self.weight.shape, generator=self.draw, dtype=x.dtype)
        noise = noise * 3 * self.weight.abs().mean()
        return x @ self.weight.T + self.bias + (x - x.detach()) @ noise.T


KINDS = {"stops-after-the-first": _First, "forgets-the-others": _Last}


def _survivors(attack: Attack, seed: int) -> float:
    """Share of rows that stand, over a world of tight slopes and one without slopes."""
    left = 0
    for world, size, room in ((two_class, 200, 1.01), (staircase, 16, 1.25)):
        made = world(rows=ROWS, size=size, seed=seed)
        radius = room * float(made.radius(float("inf")).quantile(0.75))
        found = search(attack, made.model, made.x, made.goal, LInf(radius=radius),
                       dice=Dice.of(ROWS, seed))  # fmt: skip
        left += int((~found.broken).sum())
    return left / (2 * ROWS)


def _drawn(seed: int, samples: int) -> float:
    """Mean margin that the random version leaves of a model that draws."""
    made = two_class(rows=ROWS, size=16, seed=seed)
    last = [m for m in made.model.modules() if isinstance(m, nn.Linear)][-1]
    model = Draws(last.weight.detach(), last.bias.detach(), seed)
    version = tuple(
        with_settings(resolve(part), steps=STEPS, samples=samples)
        for part in AUTOATTACK_RAND.attacks
    )
    radius = 0.5 * float(made.radius(float("inf")).median())
    change = search(Chain(attacks=version), model, made.x, made.goal, LInf(radius=radius)).change
    with torch.no_grad():
        return float(made.goal(made.model(made.x + change)).mean())


def trial(seed: int, mutant: str = "") -> Trial:
    """Versions cut short, against each of their attacks alone."""
    kind = KINDS.get(mutant, Chain)
    left = max(_survivors(kind(attacks=(*parts, SQUARE)), seed) for parts in BRIEF.values())
    singles = {repr(a): a for parts in BRIEF.values() for a in (*parts, SQUARE)}.values()
    right = min(_survivors(attack, seed) for attack in singles)
    samples = 1 if mutant == "one-sample" else SAMPLES
    further = _drawn(seed, samples) > _drawn(seed, 1)
    return Trial(left, right, left <= right - 0.15 and further)


CLAIM = Claim(
    paper="autoattack",
    methods=(
        "attack:chain", "attack:autoattack", "attack:autoattack-plus", "attack:autoattack-rand",
    ),
    says="where some rows fall to slopes and others only to scores, the versions leave at least "
    "15 points less accuracy than the best of their attacks alone; averaged slopes go further "
    "than single ones where slopes are drawn",
    left="accuracy left by the worse of two versions, cut short",
    right="accuracy left by the best single attack",
    trial=trial,
    seeds=(11, 12, 13),
    mutants=("stops-after-the-first", "forgets-the-others", "one-sample"),
    seconds=20,
)  # fmt: skip
