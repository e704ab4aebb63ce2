"""Rectified labels against plain ones, long after robust overfitting has set in."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from statistics import mean

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.robust_scene import INNER, THREAT, hardened, robust, rows, small
from holdfast.core.data import Batch
from holdfast.core.fields import Later, settings
from holdfast.core.kinds import Run
from holdfast.hooks.rectified import RectifiedLabels
from holdfast.objectives.adversarial import AdversarialTraining

ROWS, EPOCHS, SEEDS = 128, 90, tuple(range(43, 55))
DECAY = 0.98  # half of the average is younger than a tenth of the run, as in the paper's runs


@settings
class _Shifted(RectifiedLabels):
    """Bug: classes are counted from one."""

    def batch(self, run: Run, batch: Batch) -> Batch:
        given = super().batch(run, batch)
        return given._replace(y=given.y.roll(1, 1))


HOOKS: dict[str, tuple[RectifiedLabels, ...]] = {
    "": (RectifiedLabels(decay=DECAY),),
    "pgd-at": (),
    "teacher-has-no-say": (RectifiedLabels(decay=DECAY, low=0.0, high=0.0),),
    "shifts-classes": (_Shifted(decay=DECAY),),
}


@cache
def _seen(seed: int, name: str) -> float:
    """Robust accuracy."""
    data, test = rows(seed, ROWS)
    model = small(seed, 64)
    objective = AdversarialTraining(attack=INNER, threat=THREAT)
    hardened(
        model, replace(data, size=64), objective, EPOCHS, hooks=HOOKS[name], seed=seed,
        optimizer=Later("torch:Adam", lr=0.01),
    )  # fmt: skip
    return robust(model, test)


def trial(seed: int, mutant: str = "") -> Trial:
    """Robust accuracy, in the mean over the seeds."""
    seeds = (seed,) if mutant else SEEDS
    gain = mean(_seen(s, mutant) - _seen(s, "pgd-at") for s in seeds)
    return Trial(_seen(seed, mutant), _seen(seed, "pgd-at"), gain > 0.015)


CLAIM = Claim(
    paper="adr",
    methods=("hook:rectified-labels", "recipe:adr"),
    says="After 90 epochs on 128 rows rectified labels are more than 1.5 points more robust "
    "than plain ones in the mean over twelve seeds.",
    left="robust accuracy with rectified labels (l-inf 0.1)",
    right="robust accuracy of adversarial training",
    trial=trial,
    seeds=SEEDS[:3],
    mutants=("teacher-has-no-say", "shifts-classes"),
    seconds=40,
    quick=False,
    known="does not hold",
    why="the gain is 0.3 points in the mean over these twelve seeds, within its error of 0.5; on "
    "the three where it was first looked for it was 1.5",
)
