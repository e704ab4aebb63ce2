"""Distillation hides the cross-entropy's slope, and nothing else."""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.measures.model.masking import MaskingGap, masking_gap
from holdfast.objectives.distilled import Distilled
from holdfast.run.loop import Training

HEAT, RADIUS, ROWS, EPOCHS = 50.0, 0.15, 400, 60


def _net(seed: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def _trained(seed: int, objective: Distilled, data: Batches) -> nn.Sequential:
    model = _net(seed)
    fast = Later("torch:Adam", lr=0.01)
    Training(objective=objective, epochs=EPOCHS, optimizer=fast)(model, data)
    return model.eval()


@cache
def _student(seed: int, heat: float) -> nn.Sequential:
    """A net distilled from a teacher of its own form, used at temperature 1."""
    data = Batches(x=digits(seed)[0].x, y=digits(seed)[0].y, size=64)
    teacher = _trained(seed, Distilled(temperature=heat), data)
    soft = Distilled(teacher=teacher, temperature=heat)
    return _trained(seed + 1, soft, data)


@cache
def _plain(seed: int) -> MaskingGap:
    data = Batches(x=digits(seed)[0].x, y=digits(seed)[0].y, size=64)
    model = _trained(seed + 1, Distilled(temperature=1.0), data)
    return masking_gap(model, digits(seed)[1].take(slice(0, ROWS)), radius=RADIUS)


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy of the student under a step on the cross-entropy, and of a plain net."""
    student = _student(seed, 1.0 if mutant == "temperature-one" else HEAT)
    rows = digits(seed)[1].take(slice(0, ROWS))
    seen, plain = masking_gap(student, rows, radius=RADIUS), _plain(seed)
    margin = seen.entropy if mutant == "steps-on-the-cross-entropy-twice" else seen.margin
    left, right = (float(r.entropy.double().mean()) for r in (seen, plain))
    same = abs(float(margin.double().mean() - plain.margin.double().mean())) <= 0.1
    large = float(seen.top.mean()) >= 5 * float(plain.top.mean())
    holds = left - right >= 0.3 and same and large and seen.masked and not plain.masked
    return Trial(left, right, holds)


CLAIM = Claim(
    paper="fgsm-cw-distillation-report",
    methods=("objective:distilled", "measure:masking-gap"),
    says="a distilled net keeps at least 30 points more accuracy than a plain one under a step on "
    "the cross-entropy, within 10 points the same under a step on the margin, and is flagged",
    left="accuracy of the student under a step on the cross-entropy",
    right="accuracy of a plain net under the same step",
    trial=trial,
    seeds=(11, 12, 13),
    mutants=("temperature-one", "steps-on-the-cross-entropy-twice"),
    seconds=40,
    quick=False,
)
