"""Clouds of points that are spoilt more and more where it matters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Ingredient, NonNegative, Part, ingredient, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Loss, Model, Objective, Run
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.objectives.adversary import divergence
from holdfast.objectives.supervised import per_row
from holdfast.ops.derivative import gradient
from holdfast.ops.points import chosen_points, point_saliency, without

CLOUD = 3  # dimensions of a batch of clouds


@register(
    "objective", cites="intact", name="point-curriculum",
    says="The loss on clouds of points, and on the same ones spoilt more and more.",
)  # fmt: skip
@settings
class PointCurriculum(Objective):
    """The loss on a cloud and on the cloud spoilt where it matters, at a level that rises.

    The run has as many stages as there are levels. At each, a share of the points is dropped,
    preferring those in which the loss of a teacher is steep, and the others are moved at random.
    The student learns labels from both clouds, and from the spoilt one what the teacher says of
    the whole one. Without a teacher the student's own slopes say what matters, and nothing is
    handed on. A teacher that has seen many kinds of noise comes from `backward:first-order-maml`.

    Unlike the paper, whose weights and stages are not public: four stages of equal length, and
    all three terms count alike.

    Cost: two forward passes; forward and backward pass of the teacher, and one forward pass more.

    Args:
        teacher: clouds -> logits first.
        drops: share of the points that is dropped, by stage.
        spreads: standard deviation of the moves, by stage, in the unit of the points.
        where: points are dropped in proportion to their `salient` slopes, or at `random`.
        weight: of the divergence from the teacher.
        loss: between outputs and labels.

    Raises:
        ConfigError: if there are not as many drops as spreads, or a drop is not in [0, 1).
        Unsupported: unless inputs are rows of numbers `(B, n)` or clouds `(B, N, d)`.
    """

    teacher: Ingredient[Model] = ingredient()
    drops: tuple[float, ...] = (0.0, 0.1, 0.3, 0.5)
    spreads: tuple[float, ...] = (0.0, 0.01, 0.02, 0.05)
    where: Literal["salient", "random"] = "salient"
    weight: NonNegative = 1.0
    loss: Part[Loss] = "loss:cross-entropy"

    def __post_init__(self) -> None:
        if len(self.drops) != len(self.spreads) or not self.drops:
            raise ConfigError(
                "PointCurriculum: needs as many drops as spreads, one at least, got "
                f"{len(self.drops)} and {len(self.spreads)}",
                fix="Give drops=(0.0, 0.25) and spreads=(0.0, 0.02), one of each per stage.",
            )
        inside("[0, 1)", "PointCurriculum", drops=self.drops)
        inside("[0, inf]", "PointCurriculum", spreads=self.spreads)

    @classmethod
    def example(cls, world: Any) -> PointCurriculum:
        """With moves alone: the rows of the laws keep their four numbers."""
        return cls(drops=(0.0,), spreads=(0.05,))

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, loss = batch.x, resolve(self.loss)
        if not isinstance(x, Tensor) or (x.dim() != CLOUD and max(self.drops) > 0):
            raise Unsupported(
                "PointCurriculum spoils clouds of points (B, N, d), got "
                f"{tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__}",
                fix="Give points as a tensor (B, N, d), or drops=(0.0,) for other inputs.",
            )
        spoilt = self.spoilt(run, batch)
        plain = per_row(loss(logits(run.model(x)), batch.y), batch.y)
        z = logits(run.model(spoilt))
        total = plain + per_row(loss(z, batch.y), batch.y)
        if self.teacher is None or not self.weight:
            return total
        with quiet(self.teacher), torch.no_grad():
            said = logits(self.teacher(x)).log_softmax(-1)
        return total + self.weight * divergence(said, z.log_softmax(-1))

    def spoilt(self, run: Run, batch: Batch) -> Tensor:
        """The clouds at the level of the run's stage."""
        x: Any = batch.x
        stage = min(int(run.progress * len(self.drops)), len(self.drops) - 1)
        dice, count = run.dice.spawn("points"), 0
        if x.dim() == CLOUD:
            count = min(round(self.drops[stage] * x.shape[1]), x.shape[1] - 1)
        if count:
            draws = dice.uniform((x.shape[1],), device=x.device, dtype=torch.float64)
            weight = torch.ones_like(draws)
            if self.where == "salient":
                weight = self.salient(self.teacher or run.model, batch)
            x = without(x, chosen_points(weight, count, draws))
        moves = dice.normal(x.shape[1:], device=x.device, dtype=x.dtype)
        found: Tensor = x + self.spreads[stage] * moves
        return found

    def salient(self, model: Model | Callable[[Any], Any], batch: Batch) -> Tensor:
        """`(B, N)`: share of each point in the slope of a model's loss."""
        loss, x = resolve(self.loss), batch.x

        def cost(points: Tensor) -> Tensor:
            return per_row(loss(logits(model(points)), batch.y), batch.y)

        with quiet(model):
            if hasattr(model, "eval"):
                model.eval()
            return point_saliency(gradient(cost, x))  # type: ignore[arg-type]
