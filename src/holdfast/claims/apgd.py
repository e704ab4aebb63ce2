"""A step that sets itself is at least as strong as a fixed one; DLR ignores the logits' scale."""

from __future__ import annotations

from torch import Tensor

from holdfast.attacks.apgd import APGD, windows
from holdfast.attacks.pgd import PGD
from holdfast.claims.harness import Claim, Trial
from holdfast.run.search import search
from holdfast.testing.worlds import Images
from holdfast.threats.norms import L2

STEPS = 40


class Downhill(L2):
    """Mutant: follows the gradient down."""

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        return -super().steepest(x, change, gradient)


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean margin reached by APGD and by PGD of equal steps, on the same rows."""
    world = Images.make(rows=16, seed=seed)
    threat = L2(radius=0.1)
    attack = APGD(steps=STEPS, climb="margin")
    reached = threat
    if mutant == "halves-always":
        attack = APGD(steps=STEPS, climb="margin", rising=1.0, stride=0.02)
    if mutant == "descends":
        reached = Downhill(radius=0.1)
    ours = search(attack, world.model, world.x, world.goal, reached)
    fixed = PGD(steps=STEPS, climb="margin")
    theirs = search(fixed, world.model, world.x, world.goal, threat)
    left, right = float(ours.margin.mean()), float(theirs.margin.mean())
    return Trial(left, right, left >= right - 1e-3 and sum(windows(STEPS)) <= STEPS)


CLAIM = Claim(
    paper="apgd",
    methods=("attack:apgd", "attack:pgd"),
    says="without tuning it reaches a mean margin no lower than PGD with as many fixed steps",
    left="mean margin reached by APGD",
    right="mean margin reached by PGD",
    trial=trial,
    seeds=(11, 12, 13),
    mutants=("descends", "halves-always"),
    seconds=5,
)
