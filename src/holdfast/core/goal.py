"""What the adversary wants, as one number per row: positive means it has won."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.composed import AllOf, AnyOf
from holdfast.core.data import UNLABELLED
from holdfast.core.errors import ShapeError
from holdfast.core.labels import largest, one_each, within
from holdfast.core.margin import Climbed, Goal, Outputs, logits, matched
from holdfast.core.positions import Pixels, Refuses

__all__ = [
    "AllOf", "AnyOf", "AtLeast", "Goal", "Outputs", "Pixels", "Refuses", "Targeted", "Untargeted",
    "logits",
]  # fmt: skip


G = TypeVar("G", "Untargeted", "Targeted")


def _part(goal: G, name: str, rows: Tensor | slice) -> G:
    """A goal with some of its labels, which need not be looked through again."""
    taken, kept = object.__new__(type(goal)), goal._columns
    own = {name: getattr(goal, name)[rows], "_columns": kept and (kept[0][rows], kept[1][rows])}
    taken.__dict__.update(goal.__dict__, **own)
    return taken


def _columns(goal: Untargeted | Targeted, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Positions in the logits of all other classes and of the class itself, kept for the next pass.

    Args:
        goal: whose they are.
        y: `(B,)` its classes.
        z: `(B, K)` logits, for their width and device.
    """
    kept = goal._columns
    if kept is None or kept[0].shape[1] != z.shape[1] - 1 or kept[0].device != z.device:
        known = y.to(z.device).clamp(min=0)
        kept = _others(known, z.shape[1]), known[:, None]
        object.__setattr__(goal, "_columns", kept)
    return kept


def _choice(top: int, classes: int, who: str) -> None:
    """Raise where a label has no logit, or where there is nothing to choose between."""
    if classes < 2:
        raise ShapeError(
            f"{who}: a model with {classes} output cannot be wrong about a class",
            fix="Use AtLeast(level) for a single output.",
        )
    within(top, classes, who)


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
    _top: ClassVar[int] = -1  # this and the next two follow from y: looked up once, no fields
    _open: ClassVar[bool] = False
    _columns: ClassVar[tuple[Tensor, Tensor] | None] = None

    def __post_init__(self) -> None:
        one_each(self.y, "Untargeted")
        object.__setattr__(self, "_top", largest(self.y, "Untargeted"))
        object.__setattr__(self, "_open", bool((self.y == UNLABELLED).any()))

    def ways(self, outputs: Outputs) -> Tensor:
        z = self._matched(outputs)
        others, own = _columns(self, self.y, z)
        ways = z.gather(1, others) - z.gather(1, own)
        if not self._open:
            return ways
        return ways.masked_fill(self._unlabelled(z), -torch.inf)

    def _unlabelled(self, z: Tensor) -> Tensor:
        return (self.y.to(z.device) == UNLABELLED)[:, None]

    def uphill(self, outputs: Outputs) -> Climbed:
        """The ways of one row share its own logit: each pulls at its class by its softmax."""
        z = self._matched(outputs).detach()
        own = self._own(z)
        held, others = z.gather(1, own), z.scatter(1, own, -torch.inf)
        if self._open:
            others.masked_fill_(self._unlabelled(z), -torch.inf)
        slope = others.softmax(-1).scatter_(1, own, -1.0)
        if self._open:
            slope.masked_fill_(self._unlabelled(z), 0.0)
        margin = others.amax(-1) - held.squeeze(-1)
        return Climbed(margin, slope, lambda: torch.logsumexp(others - held, -1))

    def _own(self, z: Tensor) -> Tensor:
        """`(B, 1)`: positions of the labels in the logits; 0 where there is none."""
        own = self.y.to(z.device)[:, None]
        return own.clamp(min=0) if self._open else own

    def _matched(self, outputs: Outputs) -> Tensor:
        """The logits, if every label has one."""
        z = matched(logits(outputs), len(self.y), 2, "Untargeted")
        _choice(self._top, z.shape[1], "Untargeted")
        return z

    def take(self, rows: Tensor | slice) -> Untargeted:
        return _part(self, "y", rows)

    def linear(self, classes: int) -> tuple[Tensor, Tensor]:
        _choice(self._top, classes, "Untargeted")
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
    _top: ClassVar[int] = -1
    _columns: ClassVar[tuple[Tensor, Tensor] | None] = None

    def __post_init__(self) -> None:
        one_each(self.target, "Targeted")
        object.__setattr__(self, "_top", largest(self.target, "Targeted", unlabelled=False))

    def ways(self, outputs: Outputs) -> Tensor:
        z = matched(logits(outputs), len(self.target), 2, "Targeted")
        _choice(self._top, z.shape[1], "Targeted")
        others, own = _columns(self, self.target, z)
        return z.gather(1, own) - z.gather(1, others).amax(1, keepdim=True)

    def take(self, rows: Tensor | slice) -> Targeted:
        return _part(self, "target", rows)

    def soft(self, outputs: Outputs) -> Tensor:
        """`(B,)`: minus the cross-entropy to the target: climbing it descends the loss."""
        z = matched(logits(outputs), len(self.target), 2, "Targeted")
        _choice(self._top, z.shape[1], "Targeted")
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
        z = matched(logits(outputs).flatten(1), len(self.level), 2, "AtLeast")[:, self.position]
        return (self.sign * (z - self.level.to(z)))[:, None]

    def take(self, rows: Tensor | slice) -> AtLeast:
        return AtLeast(self.level[rows], self.position, self.sign)

    def linear(self, classes: int) -> tuple[Tensor, Tensor]:
        c = torch.zeros(len(self.level), 1, classes, dtype=torch.float64)
        c[:, :, self.position] = self.sign
        return c.to(self.level.device), -self.sign * self.level.double()[:, None]
