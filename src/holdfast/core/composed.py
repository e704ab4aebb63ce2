"""Goals made of goals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.errors import ConfigError
from holdfast.core.margin import Goal, Outputs


def _some(goals: Sequence[Goal], who: str) -> None:
    if not goals:
        raise ConfigError(f"{who}: needs at least one goal", fix=f"{who}([Untargeted(y)]).")


@dataclass(frozen=True, eq=False)
class AnyOf(Goal):
    """The adversary wins if one of several goals is reached."""

    goals: Sequence[Goal]

    def __post_init__(self) -> None:
        _some(self.goals, "AnyOf")

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

    def __post_init__(self) -> None:
        _some(self.goals, "AllOf")

    def ways(self, outputs: Outputs) -> Tensor:
        return torch.stack([g(outputs) for g in self.goals], -1).amin(-1, keepdim=True)

    def take(self, rows: Tensor | slice) -> AllOf:
        return AllOf([g.take(rows) for g in self.goals])
