"""A certifier that is asked piece by piece: it tells of each, and keeps what was dear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from holdfast.checks.smoothed import Counted
from holdfast.cli.answers import Answers
from holdfast.cli.proving import Proving
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Goal
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.ops.batch import chunks


class RefusedError(Exception):
    """A certifier cannot answer: nothing else is worth being tried."""

    def __init__(self, why: Unsupported) -> None:
        super().__init__(str(why))
        self.why = why


class Heard(Certifier):
    """A certifier that is asked about few rows at a time, and tells of each answer.

    Args:
        method: what is asked.
        told: hears.
        at_once: rows of one question.
        answers: those that are kept.
    """

    def __init__(
        self, method: Certifier, told: Proving, at_once: int, answers: Answers | None = None
    ) -> None:
        self.method, self.told, self.at_once = method, told, at_once
        self.answers = answers or Answers(None)

    def __repr__(self) -> str:  # names the stream of its draws
        return repr(self.method)

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """What the method says of all rows."""
        own, parts = dice_or(dice, len(x)), []
        for p in list(chunks(len(x), self.at_once)) or [slice(0, 0)]:
            i = torch.arange(len(x))[p]
            try:
                said = self.answers.ask(
                    self.method, model, x[p], goal.take(i), threat.take(i), own.part(i)
                )
            except Unsupported as refusal:
                raise RefusedError(refusal) from None
            parts.append(said)
            self.told.heard(len(i), int(said.proved.sum()))
        return joined(parts)


def joined(parts: Sequence[Certificate]) -> Certificate:
    """One certificate of the rows of several, in their order."""
    known = [c.radius for c in parts if c.radius is not None]
    return replace(
        parts[0],
        margin=torch.cat([c.margin for c in parts]),
        radius=torch.cat(known) if len(known) == len(parts) else None,
        confidence=min(c.confidence for c in parts),
        mass=min(c.mass for c in parts),
    )


class Drawn(Heard):
    """Also counts the noisy copies that the answers took."""

    def __init__(self, method: Certifier, told: Proving, at_once: int, counted: Counted) -> None:
        super().__init__(method, told, at_once)
        self.counted, self.drawn, self.rows = counted, 0, 0

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """What the method says of all rows."""
        before = self.counted.rows
        said = super().__call__(model, x, goal, threat, dice=dice)
        self.drawn, self.rows = self.drawn + self.counted.rows - before, self.rows + len(x)
        return said
