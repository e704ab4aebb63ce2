"""What one attack is asked: which rows, towards what, with which draws."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import Goal, Targeted, Untargeted
from holdfast.core.kinds import Model, Threat
from holdfast.core.records import Subject
from holdfast.threats.bind import bind


@dataclass(frozen=True, eq=False)
class Question:
    """The rows that are attacked, and the aim."""

    rows: Batches
    x: Tensor
    model: Model
    goal: Goal
    threat: Threat
    dice: Dice
    towards: int | None


def asked(subject: Subject, towards: str | None) -> Question:
    """What is attacked: all rows that have a label, and are not yet what they shall become.

    Raises:
        Unsupported: without a model, or where inputs are not one tensor.
        ConfigError: if there is no row to attack, or no class of that name.
    """
    rows, model, threat = subject.batches, subject.model, subject.threats[0]
    if model is None or rows is None or not isinstance(rows.x, Tensor):
        raise Unsupported(
            "attacks need a model and one tensor of inputs",
            fix="Give a model and rows that are numbers.",
        )
    threat, aim = bind(threat, model), None if towards is None else _class(rows, towards)
    away = rows.y != UNLABELLED
    if aim is not None:
        away &= rows.y != aim
    rows = rows.take(away.nonzero().flatten())
    if not len(rows):
        raise ConfigError("attack: no row is left to be attacked",
                          fix="Give rows with labels, of other classes than --towards.",
                          code="E0152")  # fmt: skip
    x: Tensor = rows.x  # type: ignore[assignment]  # as asked above
    goal: Goal = Untargeted(rows.y) if aim is None else Targeted(torch.full_like(rows.y, aim))
    dice = Dice(subject.seed, rows.index, f"attack/{threat.spec}")
    return Question(rows, x, model, goal, threat, dice, aim)


def _class(rows: Batches, towards: str) -> int:
    """The position of a class, given by name or number.

    Raises:
        ConfigError: with the classes that there are.
    """
    if towards in rows.classes:
        return rows.classes.index(towards)
    count = len(rows.classes) or int(rows.y.max()) + 1
    if towards.isdigit() and int(towards) < count:
        return int(towards)
    known = ", ".join(rows.classes[:12]) or f"0 to {count - 1}"
    raise ConfigError(
        f"--towards: there is no class {towards!r}", fix=f"Classes: {known}.", code="E0153"
    )
