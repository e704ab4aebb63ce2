"""A learning rate that falls when robust accuracy stops rising."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.fields import (
    Count,
    Ingredient,
    Inner,
    NonNegative,
    Part,
    Share,
    ingredient,
    settings,
)
from holdfast.core.kinds import Attack, Hook, Run, Threat
from holdfast.hooks.selection import held_example, rows_of, shares
from holdfast.threats.norms import LInf


@register("hook", cites="accelat", name="accelat", says="Lowers the rate when accuracy levels off.")
@settings
class AccelAT(Hook):
    """AccelAT: the learning rate follows the slope of accuracy under attack.

    After every epoch the mean of the last accuracies is compared with the one before. If it grew
    by less than `least` (or fell), and enough epochs have passed since the last time, the rate is
    multiplied by `factor`. Unlike waiting for a new best, a slow rise counts as none, and a
    single good epoch does not reset anything. The rate of the run's own schedule is scaled; use
    `schedule="constant"` for this rule alone.

    Cost per epoch: the attack on the held-out rows.

    Args:
        window: epochs whose mean accuracy is followed.
        rest: epochs between two reductions that must pass.
        least: growth of the mean per epoch below which the rate falls, as a share of rows.
        factor: what the rate is multiplied by.
        lowest: learning rate that is not passed below.
        enough: accuracy at which the run stops.
        attack: on the held-out rows.
        threat: which changes are admissible; at radius 0 clean accuracy is followed.
        held: held-out rows with labels.
    """

    window: Count = 5
    rest: Count = 5
    least: NonNegative = 5e-3
    factor: Inner = 0.8
    lowest: NonNegative = 1e-6
    enough: Share = 1.0
    attack: Part[Attack] = PGD(steps=10, travel=2.5, climb="margin")
    threat: Part[Threat] = LInf()
    held: Ingredient[Batches] = ingredient()

    @classmethod
    def example(cls, world: Any) -> AccelAT:
        """With twelve rows of four inputs, for the laws."""
        return cls(held=held_example())

    def epoch(self, run: Run) -> bool | None:
        held, memory = rows_of(self.held, "AccelAT"), run.memory(self)
        _, robust = shares(run, held, self.attack, self.threat)
        memory["accuracy"] = [*memory.get("accuracy", []), robust]
        due = reductions(memory["accuracy"], self.window, self.rest, self.least)
        if due and due[-1] == len(memory["accuracy"]) - 1:
            for group in (g for o in getattr(run, "optimizers", []) for g in o.param_groups):
                rate = group.get("initial_lr", group["lr"])
                group["initial_lr"] = max(rate * self.factor, min(rate, self.lowest))
        return robust > self.enough


def reductions(accuracy: Sequence[float], window: int, rest: int, least: float) -> list[int]:
    """The epochs, from 0, after which the rate falls.

    Args:
        accuracy: by epoch.
        window: epochs whose mean is followed.
        rest: epochs between two reductions.
        least: growth of the mean from one epoch to the next that is asked for.
    """
    found: list[int] = []
    means: list[float] = []
    waited = 0
    for epoch in range(len(accuracy)):
        recent = accuracy[max(0, epoch - window + 1) : epoch + 1]
        mean = sum(recent) / len(recent)
        waited += 1
        if len(means) > window and waited > rest and mean - means[-1] < least:
            found.append(epoch)
            waited = 1
        means.append(mean)
    return found
