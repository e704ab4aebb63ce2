"""A large threat from the first step holds a fresh net back; one that grows does not."""

from __future__ import annotations

from functools import cache

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.robust_scene import INNER, robust, rows, small
from holdfast.core.dice import Dice
from holdfast.core.kinds import Objective
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.growing import GrowingThreat
from holdfast.run.loop import Training
from holdfast.threats.norms import LInf

EPOCHS, MORE = 24, 0.05
LARGE = LInf(radius=0.18)
BASE = AdversarialTraining(attack=INNER, threat=LARGE)
WAYS: dict[str, Objective] = {
    "": GrowingThreat(base=BASE),
    "from-the-first-step": GrowingThreat(base=BASE, wait=0.0, end=0.0),
    "stays-small": AdversarialTraining(attack=INNER, threat=LARGE.scaled(0.2)),
}


@cache
def _robust(seed: int, name: str) -> float:
    """Robust accuracy within the whole threat after a short run of the loop's own optimizer."""
    data, test = rows(seed)
    model = small(seed, 64, 64)
    Training(objective=WAYS[name], epochs=EPOCHS)(model, data, dice=Dice.of(len(data), seed))
    return robust(model, test, LARGE)


def trial(seed: int, mutant: str = "") -> Trial:
    """A threat that grows against one that is whole from the first step, in as many passes."""
    left, right = _robust(seed, mutant), _robust(seed, "from-the-first-step")
    return Trial(left, right, left > right + MORE)


CLAIM = Claim(
    paper="loss-landscape-at",
    methods=("objective:growing-threat",),
    says="In a short run against a large threat (l-inf 0.18 on digits) a fresh net gains more than "
    "5 points of robust accuracy if the threat grows first, in as many passes.",
    left="robust accuracy with a threat that grows from a tenth to 30 % of the run",
    right="with the whole threat from the first step",
    trial=trial,
    mutants=("from-the-first-step", "stays-small"),
    seconds=12,
)
