"""A margin of probabilities breaks more of a hardened net than the loss or the margin does."""

from __future__ import annotations

from dataclasses import replace
from typing import cast
from unittest.mock import patch

from torch import Tensor

from holdfast.attacks import decomposition
from holdfast.attacks.apgd import APGD
from holdfast.attacks.chain import PMA_PLUS
from holdfast.attacks.contest import contestants
from holdfast.attacks.decomposition import PMA
from holdfast.attacks.pgd import PGD
from holdfast.claims.hardened_net import hardened
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits
from holdfast.core.dice import Dice
from holdfast.core.goal import Goal, Untargeted
from holdfast.core.kinds import Attack
from holdfast.run.search import search
from holdfast.threats.norms import LInf

RADIUS, ROWS, STEPS = 0.15, 200, 100


def _swapped(goal: Goal, z: Tensor, chosen: Tensor | None) -> tuple[Tensor, Tensor]:
    """Bug: who holds the row and who would win are exchanged."""
    held, won = contestants(goal, z, chosen)
    return won, held


def trial(seed: int, mutant: str = "") -> Trial:
    """A net trained against an adversary, and attacks on it with 200 gradients a row."""
    net = hardened(seed, RADIUS)
    test = digits(seed)[1]
    x, goal = cast(Tensor, test.x)[:ROWS], Untargeted(test.y[:ROWS])
    threat = LInf(radius=RADIUS)

    def left_by(attack: Attack) -> float:
        found = search(attack, net, x, goal, threat, dice=Dice.of(ROWS, seed))
        return float((~found.broken).double().mean())

    # The published settings exchange the number of steps with that of samples.
    attack = replace(PMA, steps=2 if mutant == "exchanged-settings" else STEPS)
    sides = _swapped if mutant == "exchanged-sides" else contestants
    with patch.object(decomposition, "contestants", sides):
        left = left_by(attack)
        plus = left_by(replace(PMA_PLUS, attacks=(attack, APGD(climb="targeted", steps=20))))
    others = [left_by(PGD(steps=2 * STEPS, schedule="cosine", climb=c)) for c in ("soft", "margin")]
    return Trial(left, min(others), plus <= left <= min(others))


CLAIM = Claim(
    paper="pma",
    methods=("attack:pma", "attack:pma-plus"),
    says="on nets trained against an adversary it leaves no more accuracy than 200 steps on the "
    "cross-entropy or on the margin do, and with targets after it no more than alone",
    left="accuracy left by PMA, 2 x 100 steps",
    right="accuracy left by 200 steps with a cosine schedule, the better of two losses",
    trial=trial,
    seeds=(21, 22, 23),
    mutants=("exchanged-settings", "exchanged-sides"),
    seconds=40,
    quick=False,
)
