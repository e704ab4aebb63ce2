"""A step that sets itself is at least as strong as a fixed one; DLR ignores the logits' scale."""

from __future__ import annotations

from holdfast.attacks.apgd import APGD, windows
from holdfast.attacks.apgd import _Climber as Climber
from holdfast.attacks.pgd import PGD
from holdfast.claims.harness import Claim, Trial
from holdfast.run.search import search
from holdfast.testing.worlds import Images
from holdfast.threats.norms import L2

STEPS = 40


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean margin reached by APGD and by PGD of equal steps, on the same rows."""
    world = Images.make(rows=16, seed=seed)
    threat = L2(radius=0.1)
    attack = APGD(steps=STEPS, climb="margin")
    check = Climber.check
    try:
        if mutant == "never-halves":
            Climber.check = lambda self, length, rising: None  # type: ignore[method-assign]
        if mutant == "halves-always":
            attack = APGD(steps=STEPS, climb="margin", rising=1.0, stride=0.02)
        ours = search(attack, world.model, world.x, world.goal, threat)
    finally:
        Climber.check = check  # type: ignore[method-assign]
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
    mutants=("never-halves", "halves-always"),
    seconds=5,
)
