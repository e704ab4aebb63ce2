"""A change that was found before, made again; and how the look-ahead that found it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError
from holdfast.core.goal import Goal
from holdfast.core.kinds import Access, Attack, Model, Threat


@dataclass(frozen=True, eq=False)
class Course:
    """What the small batches of each kept step said; the interpretation of the method.

    Args:
        length: `(S,)` mean Euclidean length of their gradients.
        agreement: `(S,)` mean cosine between them and their mean: low where they contradict
            each other and one sign per batch would throw most of each away.
        silent: `(S,)` share of them without any gradient: all rows above the ceiling.
    """

    length: Tensor
    agreement: Tensor
    silent: Tensor

    @classmethod
    def of(cls, gradients: Tensor, mean: Tensor) -> Course:
        """Of one kept step, from the gradients `(J, 1, ...)` behind it and their mean."""
        each, total = gradients.flatten(1), mean.flatten()
        cosine = torch.cosine_similarity(each, total[None], dim=1)
        sizes = each.norm(dim=1)
        silent = (sizes == 0).to(sizes.dtype)
        return cls(sizes.mean()[None], cosine.mean()[None], silent.mean()[None])

    @classmethod
    def joined(cls, courses: Sequence[Course]) -> Course:
        """Of all kept steps, whose number is that of the signs that were taken."""
        if not courses:
            return cls(*(torch.zeros(0) for _ in range(3)))
        columns = zip(*((c.length, c.agreement, c.silent) for c in courses), strict=True)
        return cls(*(torch.cat(column) for column in columns))


@dataclass(frozen=True, eq=False)
class Replay(Attack):
    """Makes the same change to every row: one that was fitted to other rows, or to other models.

    Property: looks at nothing, so what it breaks on new rows is what the change itself is worth.

    Args:
        change: `(1, ...)`, the change.
        course: how it was found.

    Cost: nothing.
    """

    access: ClassVar[Access] = Access.DECISION
    change: Tensor
    course: Course | None = None

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        none = threat.none(x)
        if none.shape[1:] != self.change.shape[1:]:
            raise ShapeError(
                f"Replay: the change {tuple(self.change.shape[1:])} does not fit rows whose "
                f"changes are {tuple(none.shape[1:])}",
                fix="Fit the change to inputs of the same shape and under the same threat.",
            )
        return threat.project(x, self.change.to(none).expand_as(none))
