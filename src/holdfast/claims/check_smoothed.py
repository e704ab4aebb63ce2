"""What the check proves behind noise lies just below the true distances of a linear model."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.certify.smoothing.randomized import Smoothing
from holdfast.checks.smoothed import SmoothedVotes
from holdfast.claims.harness import Claim, Trial
from holdfast.core.certificate import Certificate
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Model, Threat
from holdfast.core.records import Subject
from holdfast.testing.worlds import two_class

ROWS, SIGMA, RADII, NEAR = 150, 0.1, (0.5, 1.0), 1.4


@settings
class _Diameter(Smoothing):
    """Bug: hands on the width of the region instead of its radius."""

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        found = super().__call__(model, x, goal, threat, dice=dice)
        width = None if found.radius is None else 2 * found.radius
        return Certificate(model, threat, found.margin, width, found.confidence)


def trial(seed: int, mutant: str = "") -> Trial:
    """Shares of rows proved at two radii; a quarter of the labels are wrong."""
    world = two_class(rows=ROWS, size=4, seed=seed)
    wrong = torch.arange(ROWS) % 4 == 0
    y = torch.where(wrong, 1 - world.y, world.y)
    seen = world.y if mutant == "proves-wrong-answers" else y
    certifier = _Diameter() if mutant == "width-for-radius" else Smoothing()
    radii = RADII[::-1] if mutant == "swaps-the-radii" else RADII
    check = SmoothedVotes(sigma=SIGMA, radii=radii, certifier=certifier, limit=ROWS)
    subject = Subject(model=world.model, batches=Batches(x=world.x, y=seen), seed=seed)
    every = [r for finding in check(subject) for r in finding.readings]
    found = [r for r in every if r.name.startswith("certificates.smoothed@")]
    distance = torch.where(wrong, 0.0, world.radius(2.0))
    holds = len(found) == len(RADII)
    for reading, reach in zip(found, RADII, strict=True):
        most = float((distance >= SIGMA * reach).double().mean())
        least = float((distance >= NEAR * SIGMA * reach).double().mean())
        # Of 150 rows, each wrong once in a thousand, three are wrong once in 2,000 trials.
        holds &= least - 1e-9 <= reading.value <= most + 2 / ROWS and reading.bound == "lower"
    exact = float((distance >= SIGMA * RADII[0]).double().mean())
    return Trial(found[0].value, exact, holds)


CLAIM = Claim(
    paper="check:smoothed",
    methods=("check:smoothed",),
    says="Of a linear model's rows those that it proves at half and at one sigma are at most those "
    "whose true distance is as large, and at least those whose distance is 1.4 times as large.",
    left="share of rows proved at half a sigma",
    right="share of rows that are right and at least that far from the boundary",
    trial=trial,
    seeds=(301, 302, 303),
    mutants=("width-for-radius", "proves-wrong-answers", "swaps-the-radii"),
    seconds=4,
)
