"""A table of slices finds the one that a model fails on, and accuses no other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

from torch import Tensor

from holdfast.checks.gym import lines
from holdfast.checks.gym.bench import TestBench
from holdfast.checks.gym.slice import Slice
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.kinds import Model
from holdfast.core.records import Subject
from holdfast.ops.statistics import wilson
from holdfast.testing.worlds.reviews import Reader, reviews

TRAIN, TEST, SETS = 400, 400, 5
_real = lines._line


def _others(model: Model, s: Slice, right: Tensor, said: Tensor) -> lines.Line:
    """Mutant: a slice is answered for by the rows that are not in it."""
    if s.kind != "subpopulation" or s.rows is None:
        return _real(model, s, right, said)
    return _real(model, replace(s, rows=~s.rows), right, said)


def _strangers(model: Model, s: Slice, right: Tensor, said: Tensor) -> lines.Line:
    """Mutant: changed rows are compared with the sources of other rows."""
    return _real(model, s, right.roll(1), said.roll(1))


MUTANTS = {"": _real, "answers-for-the-others": _others, "compares-with-strangers": _strangers}


def _louder(batch: Batch, severity: float, dice: Dice) -> Batch:
    """Every second row in capitals, which a reader of small letters cannot see."""
    odd = batch.index % 2 == 1
    x = [t.upper() if o else t for t, o in zip(batch.x, odd.tolist(), strict=True)]
    return batch._replace(x=x, more={"edited": odd})


def _asked(bag: Reader, seed: int) -> dict[str, Any]:
    """The table of a bag of words on other reviews, by slice; and its accuracy on all."""
    data = reviews(TEST, seed)
    (found,) = TestBench(shifts=(_louder,))(Subject(model=bag, batches=data))
    rows: dict[str, Any] = {str(r["slice"]): r for r in found.figures[0].rows}
    right = (bag(list(data.x)).argmax(1) == data.y).double()
    return {**rows, "all": float(right.mean())}


def trial(seed: int, mutant: str = "") -> Trial:
    """A bag of words on five sets of reviews: slices by negation and length, and capitals."""
    bag = Reader.fit(reviews(TRAIN, seed))
    with patch.object(lines, "_line", MUTANTS[mutant]):
        tables = [_asked(bag, 1000 * (seed + 1) + k) for k in range(SETS)]
    left, accused, held = 1.0, 0, True
    for rows in tables:
        sizes = [r for name, r in rows.items() if name.startswith("words")]
        accused += any(r["worse"] for r in sizes)
        low = wilson(round(rows["all"] * TEST), TEST)[0]
        held &= rows["negation"]["worse"] and rows["negation"]["high"] < low
        held &= sum(r["n"] for r in sizes) == TEST and rows["_louder"]["invariance"] == 1.0
        left = min(left, rows["all"] - rows["negation"]["accuracy"])
    return Trial(left, 0.2, left > 0.2 and held and accused <= 1)


CLAIM = Claim(
    paper="robustness-gym",
    methods=("check:test-bench",),
    says="Of a bag of words on reviews, the slice with negations is found more than 20 points "
    "below the whole and significantly so; slices by length, which have nothing to do with the "
    "label, are accused in at most one set of five, and edits that the model cannot see leave "
    "every answer.",
    left="accuracy of all rows minus that of rows with a negation, the least of five sets",
    right="20 points",
    trial=trial,
    mutants=tuple(name for name in MUTANTS if name),
    seconds=5,
)
