"""Goals about texts that are continued and outputs that move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.data import UNLABELLED
from holdfast.core.errors import ShapeError
from holdfast.core.goal import Goal, Outputs, logits

Distance = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Says(Goal):
    """The model says chosen tokens: greedy decoding gives each of them.

    The margin is the smallest lead of a wanted token over all others, so it is won exactly if
    all are said; `soft` is minus the mean cross-entropy, the teacher-forced loss of the target.

    Args:
        y: `(B, T)` the token wanted from the logits at each position, -100 where none is; or
            `(B,)` for models that return logits `(B, V)` of the next token.
    """

    y: Tensor

    @classmethod
    def of(cls, ids: Tensor, wanted: Tensor) -> Says:
        """The goal that some tokens of the inputs themselves are said.

        Logits at a position speak of the next token, so labels are shifted by one.

        Args:
            ids: `(B, L)` inputs that hold the target, teacher-forced.
            wanted: `(B, L)` bool: which of them are the target; never the first.
        """
        y = torch.full_like(ids, UNLABELLED)
        y[:, :-1] = torch.where(wanted[:, 1:], ids[:, 1:], UNLABELLED)
        return cls(y)

    def by_all(self, models: int) -> Says:
        """The same said by each of `Several` models: all must say it, their losses are averaged."""
        y = self.y[:, None] if self.y.dim() == 1 else self.y
        return Says(y.repeat(1, models))

    def _labelled(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        z, y = logits(outputs), self.y.to(logits(outputs).device)
        if z.shape[:-1] != y.shape:
            raise ShapeError(
                f"Says: outputs {tuple(z.shape)} do not match wanted tokens {tuple(y.shape)}",
                fix="The model must return logits (B, T, V) for tokens (B, T).",
            )
        return (z[:, None], y[:, None]) if y.dim() == 1 else (z, y)

    def ways(self, outputs: Outputs) -> Tensor:
        z, y = self._labelled(outputs)
        label = y.clamp(min=0)[..., None]
        lead = z.gather(-1, label).squeeze(-1) - z.scatter(-1, label, -torch.inf).amax(-1)
        lead = lead.masked_fill(y == UNLABELLED, torch.inf).amin(1, keepdim=True)
        return torch.where((y == UNLABELLED).all(1, keepdim=True), -torch.inf, lead)

    def soft(self, outputs: Outputs) -> Tensor:
        z, y = self._labelled(outputs)
        loss = F.cross_entropy(z.transpose(1, 2), y, reduction="none", ignore_index=UNLABELLED)
        return -loss.sum(1) / (y != UNLABELLED).sum(1).clamp(min=1)

    def take(self, rows: Tensor | slice) -> Says:
        return Says(self.y[rows])


@dataclass(frozen=True, eq=False)
class Moves(Goal):
    """The outputs move at least so far from where they were without any change.

    For outputs that are no classes: samples of a generator, predicted structures, embeddings.

    Args:
        before: `(B, ...)` outputs without any change.
        level: distance to be reached.
        distance: (before, after) -> `(B,)`.
    """

    before: Tensor
    level: float
    distance: Distance

    def ways(self, outputs: Outputs) -> Tensor:
        after = logits(outputs)
        if after.shape != self.before.shape:
            raise ShapeError(
                f"Moves: outputs {tuple(after.shape)}, before {tuple(self.before.shape)}",
                fix="Pass the outputs of the same rows of the same model.",
            )
        return (self.distance(self.before, after) - self.level)[:, None]

    def take(self, rows: Tensor | slice) -> Moves:
        return Moves(self.before[rows], self.level, self.distance)
