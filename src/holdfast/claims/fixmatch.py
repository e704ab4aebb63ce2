"""Thirty labels and a thousand rows without one, against the thirty alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from statistics import mean

import torch
from torch import Tensor

from holdfast.claims.digits import accuracy, net, split
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import UNLABELLED, Batch, Batches, mix
from holdfast.core.dice import Dice
from holdfast.core.fields import Later, settings
from holdfast.core.kinds import Run
from holdfast.objectives.fixmatch import FixMatch
from holdfast.run.loop import Training

LABELS, ROWS, EPOCHS = 30, 1000, 40


def hidden(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """A share of the pixels of each row goes dark, others are dimmed or lit a little."""
    x: Tensor = batch.x  # type: ignore[assignment]
    own = dice or Dice(0, batch.index)
    dark = own.uniform(x.shape[1:]) < 0.3 * severity
    return batch._replace(x=(x + 0.2 * severity * own.normal(x.shape[1:])).clamp(0, 1) * ~dark)


@settings
class WrongAnswers(FixMatch):
    """Bug: what is taught is the answer to another row."""

    def _changed(
        self, run: Run, batch: Batch, severity: float, name: str, rows: Tensor | None = None
    ) -> Batch:
        given = None if rows is None else rows.roll(1)
        return super()._changed(run, batch, severity, name, given)


OBJECTIVES = {
    "": FixMatch(shift=hidden), "labels-alone": FixMatch(shift=hidden, weight=0.0),
    "wrong-answers": WrongAnswers(shift=hidden), "never-sure": FixMatch(shift=hidden, sure=1.0),
}  # fmt: skip


@cache
def _score(seed: int, kind: str) -> float:
    """Accuracy on rows that were not learned from."""
    data, test = split(seed, ROWS)
    free = replace(data, y=torch.full_like(data.y, UNLABELLED)).take(slice(LABELS, None))
    rows: Batches = mix(free, data.take(slice(0, LABELS)), 0.5)
    model = net(seed, width=128)
    plan = Training(
        objective=OBJECTIVES[kind], epochs=EPOCHS, optimizer=Later("torch:Adam", lr=3e-3)
    )
    plan(model, rows, dice=Dice.of(len(rows), seed))
    return accuracy(model, test)


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean accuracy of three nets with rows without a label and without, after as many steps."""
    nets = range(3 * seed, 3 * seed + 3)
    left, right = (mean(_score(n, kind) for n in nets) for kind in (mutant, "labels-alone"))
    return Trial(left, right, left > right + 0.03)


CLAIM = Claim(
    paper="fixmatch",
    methods=("objective:fixmatch",),
    says="With thirty labelled digits, 970 others without a label add more than three points of "
    "accuracy in the mean of three nets, taught by the model's own sure answers.",
    left="accuracy on other digits with rows without a label",
    right="after as many steps on the labelled rows alone",
    trial=trial,
    seeds=(7,),  # it was worded while looking at seed 0
    mutants=("wrong-answers", "never-sure"),
    seconds=20,
    quick=False,
    known="does not hold",
    why="On the seed that it was worded on the gain was more than three points; on the fresh one "
    "it is 2.6 of the three (0.721 against 0.695).",
)
