"""A rate that follows accuracy against a constant one: epochs to a robust accuracy."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from statistics import median

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.robust_scene import INNER, hardened, rows, small
from holdfast.core.fields import Later, settings
from holdfast.core.kinds import Run
from holdfast.hooks.accel import AccelAT
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.threats.norms import LInf

SEEDS, EPOCHS, TARGET, THREAT = (31, 32, 33, 34, 35), 40, 0.85, LInf(radius=0.06)


@settings
class _Rises(AccelAT):
    """Bug: the rate is divided by the factor."""

    def epoch(self, run: Run) -> bool | None:
        groups = [g for o in getattr(run, "optimizers", []) for g in o.param_groups]
        before = [g["initial_lr"] for g in groups]
        asked = super().epoch(run)
        for group, rate in zip(groups, before, strict=True):
            if group["initial_lr"] < rate:
                group["initial_lr"] = rate / self.factor**4
        return asked


@cache
def _epochs(seed: int, name: str) -> int:
    """Epochs until the held-out robust accuracy first passes the target, at most all."""
    data, test = rows(seed)
    data = replace(data, size=320)
    kind = _Rises if name == "rate-rises" else AccelAT
    hook = kind(held=test, threat=THREAT, enough=TARGET)
    if name == "constant":
        hook = replace(hook, window=EPOCHS)  # never due
    elif name == "falls-at-once":
        hook = replace(hook, window=1, rest=1, least=1.0, factor=1e-3)
    objective = AdversarialTraining(threat=THREAT, attack=INNER)
    run = hardened(small(seed, 64), data, objective, EPOCHS, hooks=(hook,), seed=seed,
                   optimizer=Later("torch:SGD", lr=0.1, momentum=0.9))  # fmt: skip
    return run.epoch


def trial(seed: int, mutant: str = "") -> Trial:
    """Epochs of both; over the seeds their medians are compared."""
    seeds = (seed,) if mutant else SEEDS
    ours, theirs = _epochs(seed, mutant), _epochs(seed, "constant")
    middle = median(_epochs(s, mutant) for s in seeds)
    return Trial(ours, theirs, middle <= median(_epochs(s, "constant") for s in seeds))


CLAIM = Claim(
    paper="accelat",
    methods=("hook:accelat",),
    says="In the median over five seeds adversarial training reaches 85 % robust accuracy in no "
    "more epochs than at a constant rate.",
    left="epochs to the target when the rate follows accuracy",
    right="epochs to the target at a constant rate",
    trial=trial,
    seeds=SEEDS,
    mutants=("rate-rises", "falls-at-once"),
    seconds=60,
    quick=False,
)
