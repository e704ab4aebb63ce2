"""Each law of shifts of texts catches the bug that it is there for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.shifts.text.reword import Reword
from holdfast.testing.laws import LawBroken, shift

REAL = Reword()


class Broken:
    """A shift of texts with one bug."""

    reads = "text"

    def __init__(self, bug: Callable[[Batch, float, Dice], Batch]) -> None:
        self.bug = bug

    def __call__(self, batch: Batch, severity: float, dice: Dice) -> Batch:
        return self.bug(batch, severity, dice)


def other_draws(batch: Batch, severity: float, dice: Dice) -> Batch:
    return REAL(batch, severity, dice.spawn(f"{severity}"))


def says_nothing(batch: Batch, severity: float, dice: Dice) -> Batch:
    return REAL(batch, severity, dice)._replace(more={})


def flips_labels(batch: Batch, severity: float, dice: Dice) -> Batch:
    return REAL(batch, severity, dice)._replace(y=1 - batch.y)


def draws_by_place(batch: Batch, severity: float, dice: Dice) -> Batch:
    return REAL(batch, severity, dice.keyed(torch.arange(len(batch.y))))


def takes_anything(batch: Batch, severity: float, dice: Dice) -> Batch:
    return batch


@pytest.mark.parametrize(
    ("bug", "law"),
    [
        (other_draws, shift.law_text_edits_nest_in_severity),
        (says_nothing, shift.law_text_edits_say_where_they_apply),
        (flips_labels, shift.law_text_only_the_texts_change),
        (draws_by_place, shift.law_text_rows_do_not_depend_on_the_batch),
        (takes_anything, shift.law_text_refuses_images_and_severity_outside),
    ],
)
def test_caught(bug: Callable[[Batch, float, Dice], Batch], law: Callable[[object], None]) -> None:
    law(REAL)
    with pytest.raises(LawBroken):
        law(Broken(bug))
