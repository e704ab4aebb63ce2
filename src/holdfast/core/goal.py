"""What the adversary wants, as one number per row: positive means it has won."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.data import UNLABELLED
from holdfast.core.errors import ShapeError, Unsupported

Outputs = Tensor | tuple[Tensor, ...]


def logits(outputs: Outputs) -> Tensor:
    """The logits of a model's outputs: the tensor itself, or the first of a named tuple."""
    return outputs if isinstance(outputs, Tensor) else outputs[0]


class Goal(ABC):
    """A margin with ways: how far the adversary is ahead on each way to win."""

    @abstractmethod
    def ways(self, outputs: Outputs) -> Tensor:
        """`(B, W)`: the margin of each way to win; -inf where a way is closed."""

    @abstractmethod
    def take(self, rows: Tensor | slice) -> Goal:
        """The goal of a selection of rows."""

    def __call__(self, outputs: Outputs) -> Tensor:
        """`(B,)`: margin of the best way; a row is safe iff it is negative: a tie is won."""
        return self.ways(outputs).amax(-1)

    def soft(self, outputs: Outputs) -> Tensor:
        """`(B,)`: softplus of the logsumexp of the ways; for a label exactly the cross-entropy."""
        return F.softplus(torch.logsumexp(self.ways(outputs), -1))

    def linear(self, classes: int) -> tuple[Tensor, Tensor]:
        """The ways as `C z + c` of the logits z: `(B, W, K)` and `(B, W)`.

        Raises:
            Unsupported: if the goal is not linear in the logits.
        """
        raise Unsupported(
            f"{type(self).__name__} is not linear in {classes} logits",
            fix="Certify an untargeted or targeted goal instead.",
        )


def _others(y: Tensor, classes: int) -> Tensor:
    """`(B, K-1)`: the classes other than y, in order."""
    k = torch.arange(classes - 1, device=y.device)
    return k + (k >= y[:, None])


@dataclass(frozen=True, eq=False)
class Untargeted(Goal):
    """Any other class overtakes the label.

    Args:
        y: `(B,)` labels; rows with -100 can never be won.
    """

    y: Tensor

    def ways(self, outputs: Outputs) -> Tensor:
        z = logits(outputs)
        if z.dim() != 2 or len(z) != len(self.y):
            raise ShapeError(
                f"Untargeted: outputs {tuple(z.shape)} do not match {len(self.y)} labels",
                fix="The model must return logits (B, K), one row per label.",
            )
        y = self.y.to(z.device)
        known = y.clamp(min=0)
        ways = z.gather(1, _others(known, z.shape[1])) - z.gather(1, known[:, None])
        return ways.masked_fill((y == UNLABELLED)[:, None], -torch.inf)

    def take(self, rows: Tensor | slice) -> Untargeted:
        return Untargeted(self.y[rows])

    def linear(self, classes: int) -> tuple[Tensor, Tensor]:
        eye = torch.eye(classes, device=self.y.device, dtype=torch.float64)
        known = self.y.clamp(min=0)
        c = torch.zeros(len(known), classes - 1, device=known.device, dtype=torch.float64)
        c = c.masked_fill((self.y == UNLABELLED)[:, None], -torch.inf)
        return eye[_others(known, classes)] - eye[known][:, None], c


@dataclass(frozen=True, eq=False)
class Targeted(Goal):
    """One chosen class overtakes all others.

    Args:
        target: `(B,)` classes to be reached.
    """

    target: Tensor

    def ways(self, outputs: Outputs) -> Tensor:
        z = logits(outputs)
        t = self.target.to(z.device)
        rest = z.gather(1, _others(t, z.shape[1])).amax(1, keepdim=True)
        return z.gather(1, t[:, None]) - rest

    def take(self, rows: Tensor | slice) -> Targeted:
        return Targeted(self.target[rows])

    def soft(self, outputs: Outputs) -> Tensor:
        """`(B,)`: minus the cross-entropy to the target: climbing it descends the loss."""
        z = logits(outputs)
        return -F.cross_entropy(z, self.target.to(z.device), reduction="none")


@dataclass(frozen=True, eq=False)
class AtLeast(Goal):
    """One output, by position, reaches a level (regression, scores, detection).

    Args:
        level: `(B,)` the level to be reached, in the unit of the output.
        position: which output.
        sign: 1 to push it up to the level, -1 to push it down.
    """

    level: Tensor
    position: int = 0
    sign: int = 1

    def ways(self, outputs: Outputs) -> Tensor:
        z = logits(outputs).flatten(1)[:, self.position]
        return (self.sign * (z - self.level.to(z)))[:, None]

    def take(self, rows: Tensor | slice) -> AtLeast:
        return AtLeast(self.level[rows], self.position, self.sign)

    def linear(self, classes: int) -> tuple[Tensor, Tensor]:
        c = torch.zeros(len(self.level), 1, classes, dtype=torch.float64)
        c[:, :, self.position] = self.sign
        return c.to(self.level.device), -self.sign * self.level.double()[:, None]


@dataclass(frozen=True, eq=False)
class Pixels(Goal):
    """A share of the labelled positions (pixels, tokens) is wrong.

    The margin is the quantile of the per-position margins, so it is positive exactly if at
    least `share` of the labelled positions are won.

    Args:
        y: `(B, ...)` labels; -100 = does not count.
        share: share of labelled positions that must be won, in (0, 1].
    """

    y: Tensor
    share: float = 0.5

    def ways(self, outputs: Outputs) -> Tensor:
        z, y = logits(outputs), self.y.to(logits(outputs).device)
        labels = y.clamp(min=0)[..., None]
        own = z.gather(-1, labels)
        best = z.scatter(-1, labels, -torch.inf).amax(-1, keepdim=True)
        margin = (best - own).squeeze(-1).flatten(1)
        counted = (y != UNLABELLED).flatten(1)
        ranked = margin.masked_fill(~counted, -torch.inf).sort(1, descending=True).values
        needed = (self.share * counted.sum(1)).ceil().long().clamp(min=1)
        return ranked.gather(1, needed[:, None] - 1)

    def take(self, rows: Tensor | slice) -> Pixels:
        return Pixels(self.y[rows], self.share)


@dataclass(frozen=True, eq=False)
class AnyOf(Goal):
    """The adversary wins if one of several goals is reached."""

    goals: Sequence[Goal]

    def ways(self, outputs: Outputs) -> Tensor:
        return torch.cat([g.ways(outputs) for g in self.goals], -1)

    def take(self, rows: Tensor | slice) -> AnyOf:
        return AnyOf([g.take(rows) for g in self.goals])

    def linear(self, classes: int) -> tuple[Tensor, Tensor]:
        parts = [g.linear(classes) for g in self.goals]
        return torch.cat([p[0] for p in parts], 1), torch.cat([p[1] for p in parts], 1)


@dataclass(frozen=True, eq=False)
class AllOf(Goal):
    """The adversary wins only if every one of several goals is reached."""

    goals: Sequence[Goal]

    def ways(self, outputs: Outputs) -> Tensor:
        return torch.stack([g(outputs) for g in self.goals], -1).amin(-1, keepdim=True)

    def take(self, rows: Tensor | slice) -> AllOf:
        return AllOf([g.take(rows) for g in self.goals])
