"""Means of the weights are as robust as the weights, and far steadier."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache
from statistics import mean, pstdev

from holdfast.attacks.pgd import PGD
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.robust_scene import INNER, THREAT, hardened, robust, rows, small
from holdfast.core.data import Batches
from holdfast.core.fields import Ingredient, Later, ingredient, settings
from holdfast.core.kinds import Hook, Run
from holdfast.hooks.ema import EMA
from holdfast.hooks.swa import SWA
from holdfast.objectives.adversarial import AdversarialTraining

ROWS, EPOCHS, LAST = 200, 40, 12
QUICK = PGD(steps=5, travel=2.5, climb="margin")


@settings
class _First(SWA):
    """Bug: only the first epoch is averaged."""

    def epoch(self, run: Run) -> None:
        if not run.memory(self):
            super().epoch(run)


@settings
class _Watch(Hook):
    """Robust accuracy of the live and of the mean weights, by epoch."""

    average: EMA = EMA(decay=0.98, swap=False)
    test: Ingredient[Batches] = ingredient()

    def stepped(self, run: Run) -> None:
        self.average.stepped(run)

    def epoch(self, run: Run) -> None:
        if self.test is None or run.epoch < EPOCHS - LAST:
            return
        model = deepcopy(run.model)
        memory = run.memory(self)
        memory["live"] = [*memory.get("live", []), robust(model, self.test, judge=QUICK)]
        model.load_state_dict(self.average.averaged(run))
        memory["mean"] = [*memory.get("mean", []), robust(model, self.test, judge=QUICK)]


@cache
def _seen(seed: int, mutant: str) -> tuple[list[float], list[float], float]:
    """Both curves over the last epochs, and the accuracy that the run ends with."""
    data, test = rows(seed, ROWS)
    data = replace(data, size=40)
    model = small(seed, 64)
    watch = _Watch(test=test, average=EMA(decay=0.0 if mutant == "no-memory" else 0.98, swap=False))
    swa = _First(after=0.0) if mutant == "averages-the-first" else SWA()
    run = hardened(
        model, data, AdversarialTraining(attack=INNER, threat=THREAT), EPOCHS,
        hooks=(watch, swa), optimizer=Later("torch:SGD", lr=0.1, momentum=0.9), seed=seed,
    )  # fmt: skip
    memory = run.memory(watch)
    return memory["live"], memory["mean"], robust(model, test, judge=QUICK)


def trial(seed: int, mutant: str = "") -> Trial:
    """Spread from epoch to epoch, and accuracy in the mean over the last ones."""
    live, averaged, end = _seen(seed, mutant)
    steady = pstdev(averaged) < 0.7 * pstdev(live)
    return Trial(pstdev(averaged), pstdev(live), steady and min(mean(averaged), end) >= mean(live))


CLAIM = Claim(
    paper="weight-averaging-at",
    methods=("hook:swa", "recipe:ema-at", "recipe:swa-at"),
    says="Over the last 12 of 40 epochs of adversarial training the moving mean of the weights "
    "varies by less than 70 % of what the weights do, and it and the mean of the last quarter "
    "are at least as robust as the weights are on average.",
    left="standard deviation of robust accuracy from epoch to epoch, mean weights",
    right="the same of the live weights",
    trial=trial,
    seeds=(31, 32, 33),
    mutants=("no-memory", "averages-the-first"),
    seconds=60,
    quick=False,
)
