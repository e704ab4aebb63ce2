"""How well a reward model ranks pairs of responses, before and after their texts are changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.records import Reading
from holdfast.run.reading import average, proportion

ORIGINAL = ""


def preferred(rewards: Tensor) -> Tensor:
    """`(N,)`: 1 where the chosen response has the larger reward, a half where both are equal.

    Args:
        rewards: `(N, 2)` of the chosen and of the rejected response; what is not finite loses.
    """
    a, b = rewards.double().unbind(1)
    right = (a > b).double() + 0.5 * (a == b).double()
    return torch.where(rewards.isfinite().all(1), right, 0.0)


@dataclass(frozen=True, eq=False)
class RewardRobustness:
    """Rewards of the same pairs in several wordings.

    Args:
        original: `(N, 2)`.
        changed: transformation -> rows it applies to and `(n, 2)` rewards after it.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of the bootstrap.
    """

    original: Tensor
    changed: Mapping[str, tuple[Tensor, Tensor]]
    name: str
    alpha: float
    seed: int

    def drop(self, transformation: str) -> float:
        """Accuracy that a transformation costs, on the pairs that it applies to."""
        rows, new = self.changed[transformation]
        return float((preferred(self.original[rows]) - preferred(new)).mean())

    def flips(self, transformation: str) -> float:
        """Share of the pairs that were ranked right and no longer are."""
        rows, new = self.changed[transformation]
        right = preferred(self.original[rows]) == 1
        lost = preferred(new[right]) < 1
        return float(lost.double().mean()) if len(lost) else float("nan")

    def moved(self, transformation: str) -> float:
        """Mean change of a reward, in standard deviations of all original rewards."""
        rows, new = self.changed[transformation]
        scale = float(self.original.double().std(correction=0))
        return float((new - self.original[rows]).abs().double().mean()) / max(scale, 1e-300)

    def readings(self) -> tuple[Reading, ...]:
        """Accuracy at first, then the loss and the flips of every transformation."""
        first = preferred(self.original)
        if not len(first):
            return (proportion(f"{self.name}.accuracy", 0, 0, alpha=self.alpha),)
        found = [average(f"{self.name}.accuracy", first, alpha=self.alpha, seed=self.seed)]
        for name, (rows, new) in self.changed.items():
            if not int(rows.sum()):
                continue
            lost = first[rows] - preferred(new)
            right = first[rows] == 1
            found.append(average(f"{self.name}.{name}.drop", lost, better="lower",
                                 alpha=self.alpha, seed=self.seed))  # fmt: skip
            found.append(proportion(f"{self.name}.{name}.flips",
                                    int((preferred(new[right]) < 1).sum()), int(right.sum()),
                                    better="lower", alpha=self.alpha, seed=self.seed))  # fmt: skip
        return tuple(found)

    def worst(self) -> tuple[str, float]:
        """The transformation under which accuracy is lowest, and that accuracy."""
        found = {
            n: float(preferred(new).mean()) for n, (_, new) in self.changed.items() if len(new)
        }
        if not found:
            raise ConfigError(
                f"{self.name}: no transformation applies to any pair",
                fix="Give transformations that change at least one prompt or response.",
            )
        name = min(found, key=lambda n: found[n])
        return name, found[name]


@register("measure", cites="rewordbench", says="Pairs a reward model ranks wrongly once reworded.")
def reward_robustness(
    rewards: Tensor,
    changed: Mapping[str, tuple[Tensor, Tensor]],
    *,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "reward",
) -> RewardRobustness:
    """Compares the rewards of pairs with those of the same pairs in other words.

    Accuracy is the chance that the chosen response has the larger reward, ties counting half, so
    that a constant reward has a half. Every loss is over the pairs that a transformation applies
    to, each beside itself.

    Args:
        rewards: `(N, 2)` of the chosen and the rejected response.
        changed: transformation -> `(N,)` bool, pairs that it applies to, and `(n, 2)` rewards
            of these after it.
        alpha: intervals cover with probability at least 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        ShapeError: if rows and rewards do not fit.
    """
    if rewards.dim() != 2 or rewards.shape[1] != 2:
        raise ShapeError(
            f"{name}: rewards must be (N, 2), got {tuple(rewards.shape)}",
            fix="Give two columns: the reward of the chosen and of the rejected response.",
        )
    for each, (rows, new) in changed.items():
        if rows.shape != rewards.shape[:1] or new.shape != (int(rows.sum()), 2):
            raise ShapeError(
                f"{name}.{each}: {tuple(new.shape)} rewards for {int(rows.sum())} of "
                f"{len(rewards)} pairs",
                fix="Give rows (N,) of booleans, and one row of two new rewards for each that is "
                "True.",
            )
    kept = {n: (rows.bool().cpu(), new.detach().cpu()) for n, (rows, new) in changed.items()}
    return RewardRobustness(rewards.detach().cpu(), kept, name, alpha, seed)
