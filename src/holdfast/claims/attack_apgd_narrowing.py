"""Under the sum norm, ascent that comes in from larger balls breaks more than ascent inside."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.attacks.apgd import APGD
from holdfast.attacks.narrowing import Narrowing
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits, trained
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Attack
from holdfast.run.search import search
from holdfast.threats.norms import L1

ROWS, STEPS, NETS, RADIUS = 200, 50, 2, 1.5


class _Forgetful(Narrowing):
    """Bug: begins anew in every ball."""

    def _within(
        self, active: Active, factor: float, change: Tensor, chosen: Tensor | None, steps: int
    ) -> Tensor:
        super()._within(active, factor, change, chosen, steps)
        return active.threat.sample(active.x, active.dice).detach()


class _Backwards(Narrowing):
    """Bug: goes from the small ball to the large ones."""

    def _run(self, active: Active, chosen: Tensor | None) -> None:
        each = int(self.share * self.steps)
        change = active.threat.sample(active.x, active.dice).detach()
        change = self._within(active, 1.0, change, chosen, self.steps - 2 * each)
        for factor in (2.0, 3.0):
            if len(active):
                change = self._within(active, factor, change, chosen, each)


KINDS = {"begins-anew": _Forgetful, "goes-outwards": _Backwards}


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy left on two plain nets from as many steps, once each way."""
    kind, left = KINDS.get(mutant, Narrowing), []
    attacks: tuple[Attack, ...] = (kind(steps=STEPS), APGD(steps=STEPS))
    for attack in attacks:
        stands = []
        for net in range(NETS):
            number = NETS * seed + net
            data: Any = digits(number)[1]
            x, goal = data.x[:ROWS], Untargeted(data.y[:ROWS])
            dice = Dice.of(ROWS, number)
            found = search(attack, trained(number), x, goal, L1(radius=RADIUS), dice=dice)
            stands.append((~found.broken).double().mean())
        left.append(float(torch.stack(stands).mean()))
    return Trial(left[0], left[1], left[0] < left[1])


CLAIM = Claim(
    paper="attack:apgd-narrowing",
    methods=("attack:apgd-narrowing", "attack:autoattack-l1"),
    says="Under the sum norm it leaves less accuracy to two plain nets than ascent inside of the "
    "ball from as many steps.",
    left="accuracy left (l1 1.5), mean of two nets",
    right="accuracy left by APGD",
    trial=trial,
    seeds=(41, 42, 43),
    mutants=("begins-anew", "goes-outwards"),
    seconds=10,
)
