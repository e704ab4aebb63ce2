"""What an ascent that sets its own steps keeps of each row, and when it looks back."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from holdfast.ops.batch import pick


def windows(steps: int) -> list[int]:
    """Lengths of the windows between checkpoints, each 3 % shorter, from 22 % down to 6 %."""
    length, least = max(int(0.22 * steps), 1), max(int(0.06 * steps), 1)
    shrink, found, done = max(int(0.03 * steps), 1), [], 0
    while done + length <= steps:
        found.append(length)
        done, length = done + length, max(length - shrink, least)
    return found


@dataclass
class Climber:
    """What belongs to each active row during one run."""

    change: Tensor
    previous: Tensor
    gradient: Tensor
    height: Tensor  # (A,) what is climbed, at `change`
    best: Tensor  # highest change so far, its height and its gradient
    best_height: Tensor
    best_gradient: Tensor
    stride: Tensor  # (A,) radii
    rises: Tensor  # (A,) steps of this window that went up
    halved: Tensor  # (A,) bool, at the last checkpoint
    checked: Tensor  # (A,) best height at the last checkpoint

    @classmethod
    def begun(cls, change: Tensor, height: Tensor, gradient: Tensor, stride: float) -> Climber:
        """At the start of a run."""
        return cls(
            change, change, gradient, height, change, height, gradient,
            torch.full_like(height, stride), torch.zeros_like(height),
            torch.ones_like(height, dtype=torch.bool), height,
        )  # fmt: skip

    def keep(self, stay: Tensor) -> None:
        """Let the other rows go."""
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name)[stay])

    def moved(self, change: Tensor, height: Tensor, gradient: Tensor) -> None:
        """Take in the evaluation of a new point."""
        self.rises = self.rises + (height > self.height)
        better = height > self.best_height
        self.previous, self.change = self.change, change
        self.gradient, self.height = gradient, height
        self.best, self.best_gradient = (
            pick(better, change, self.best),
            pick(better, gradient, self.best_gradient),
        )
        self.best_height = torch.where(better, height, self.best_height)

    def check(self, length: int, rising: float) -> None:
        """A checkpoint: halve the step of rows that stall and send them back to their best."""
        stalls = self.rises <= rising * length
        stuck = ~self.halved & (self.best_height <= self.checked)
        self.halved = stalls | stuck
        self.checked, self.rises = self.best_height, torch.zeros_like(self.rises)
        self.stride = torch.where(self.halved, self.stride / 2, self.stride)
        self.change = pick(self.halved, self.best, self.change)
        self.gradient = pick(self.halved, self.best_gradient, self.gradient)
