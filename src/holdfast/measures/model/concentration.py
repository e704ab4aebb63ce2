"""Do attacks from many starts end with the same loss? Robust nets say yes, plain ones do not."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.endless import LargestLoss
from holdfast.core.fields import Count, Part
from holdfast.core.goal import Untargeted
from holdfast.core.inputs import one_tensor, some_rows
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.run.reading import average


@dataclass(frozen=True, eq=False)
class Concentration:
    """Final losses of attacks from independent starts.

    Args:
        losses: `(B, R)` cross-entropy in nats at the end of each start.
        apart: `(B,)` mean Euclidean distance between the ends of the starts, as a share of the
            mean length of the changes; 0 where all starts end at one point.
        name: prefix of the readings.
        alpha: of the intervals.
        threat: in the common grammar.
        seed: of the starts.
    """

    losses: Tensor
    apart: Tensor
    name: str
    alpha: float
    threat: str
    seed: int

    @property
    def spread(self) -> Tensor:
        """`(B,)`: standard deviation of the final losses as a share of their mean."""
        mean = self.losses.mean(1).clamp(min=1e-12)
        return self.losses.std(1, unbiased=False) / mean

    @property
    def outlier(self) -> Tensor:
        """`(B,)`: largest final loss as a multiple of the median one; 1 without outliers."""
        return self.losses.amax(1) / self.losses.median(1).values.clamp(min=1e-12)

    def readings(self) -> tuple[Reading, ...]:
        """Mean spread, mean outlier and mean distance between the ends, over the rows."""
        columns = (
            ("spread", self.spread, "share of the mean loss", "lower"),
            ("outlier", self.outlier, "multiple of the median loss", "lower"),
            ("apart", self.apart, "share of the length of a change", "neither"),
        )
        return tuple(
            average(
                f"{self.name}.{word}", values, better=better, unit=unit,  # type: ignore[arg-type]
                threat=self.threat, seed=self.seed, alpha=self.alpha,
            )
            for word, values, unit, better in columns
        )  # fmt: skip


@register("measure", cites="pgd-adversarial-training")
def loss_concentration(
    model: Model,
    batches: Batches,
    *,
    attack: Part[Attack] = "attack:pgd",
    threat: Part[Threat] = "threat:linf",
    restarts: Count = 20,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "concentration",
) -> Concentration:
    """Runs an attack from many random starts to its end, without stopping at the first mistake.

    Where the final losses of a row lie close together, no start was lucky, and the worst of a few
    starts says what the worst of many would. Losses can agree although the points differ, so the
    distance between the points is given beside them.

    Args:
        model: inputs -> logits first.
        batches: labelled rows of one tensor.
        attack: one that starts at random.
        threat: what it may change.
        restarts: independent starts per row, at least 2.
        alpha: intervals over the rows cover with probability about 1 - alpha.
        seed: of the starts.
        name: prefix of the readings.

    Raises:
        ConfigError: for less than two starts.
        Unsupported: if the inputs are not one tensor.
        ShapeError: without rows.

    Cost: `restarts` times the attack, and one forward per start and row.
    """
    inside("[2, inf]", name, restarts=restarts)
    one_tensor(batches.x, name)
    some_rows(batches, name)
    method, within = resolve(attack), resolve(threat)
    losses, apart = [], []
    with quiet(model):
        for batch in batches:
            x: Tensor = batch.x  # type: ignore[assignment]
            ends = [
                _end(method, model, x, batch.y, within, Dice(seed, batch.index, f"{name}{r}"))
                for r in range(restarts)
            ]
            losses.append(torch.stack([loss for _, loss in ends], 1).double().cpu())
            apart.append(_apart(torch.stack([change for change, _ in ends])).double().cpu())
    return Concentration(torch.cat(losses), torch.cat(apart), name, alpha, within.spec, seed)


def _end(
    attack: Attack, model: Model, x: Tensor, y: Tensor, threat: Threat, dice: Dice
) -> tuple[Tensor, Tensor]:
    """Where one start ends, and the loss there."""
    goal = Untargeted(y)
    change = threat.project(x, attack(model, x, LargestLoss(goal), threat, dice=dice)).detach()
    with torch.no_grad():
        return change, goal.soft(threat.through(model, x, change))


def _apart(changes: Tensor) -> Tensor:
    """`(B,)`: mean distance between changes `(R, B, ...)` over their mean length."""
    flat = changes.flatten(2).transpose(0, 1)
    count = flat.shape[1]
    far: Tensor = torch.cdist(flat, flat).sum((1, 2)) / (count * (count - 1))
    length: Tensor = flat.norm(dim=2).mean(1)
    return far / length.clamp(min=1e-12)
