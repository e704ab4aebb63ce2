"""Adversarial weight perturbation: step with the gradient at weights that were moved uphill."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Later
from holdfast.optim.sam import SAM


@register(
    "optimizer", cites="awp", name="awp",
    says="Step with the gradient at weights that were moved uphill by a share of their lengths.",
)  # fmt: skip
class AWP(SAM):
    """AWP: step with the gradient taken after every weight tensor has moved uphill.

    Each tensor w with more than one axis moves along its own gradient g by `radius * |w| / |g|`
    times g, so that its move is `radius` of its length, whatever the scales of the layers are;
    biases and scales of normalisation stay. The loss is looked at there, the base steps with
    that gradient, and the same move is taken off again. What is minimised is thus the loss at
    the worst weights nearby: of an adversarial objective, whose attack is the one of the first
    look. At radius 0 it is the base. A tensor whose gradient is zero or not finite does not move.

    Unlike the paper the first look is the whole batch in the mode of training, not a proxy net:
    running statistics of batch normalisation are those of the weights before the move.

    Cost per step: two evaluations of the closure, of which the second repeats no attack; two
    copies of the weights.

    Args:
        params: what is trained.
        base: makes the optimizer that takes the step: a `Later`, its name, or a table with its
            name as `use`.
        radius: length of the move of a tensor as a share of the tensor's length.
        wait: share of the run in which nothing moves uphill; the training loop says where a
            run is, elsewhere nothing waits.

    Attributes:
        progress: share of the run that is done.

    Raises:
        ConfigError: for a radius or a share out of range, or a step without a closure.
    """

    progress = 1.0

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        *,
        base: Later | Mapping[str, Any] | str = Later("torch:SGD", lr=0.1, momentum=0.9),  # noqa: B008
        radius: float = 0.005,
        wait: float = 0.0,
    ) -> None:
        if not radius >= 0 or not 0 <= wait <= 1:
            raise ConfigError(
                f"AWP: radius is {radius}, at least 0, and wait is {wait}, in [0, 1]",
                fix="Use radius=0.005, wait=0.",
            )
        super().__init__(params, base=base, radius=radius)
        self.wait = wait

    def _looks_twice(self) -> bool:
        return self.radius > 0 and self.progress >= self.wait

    @torch.no_grad()
    def _climb(self) -> list[tuple[nn.Parameter, Tensor]]:
        """Move every tensor uphill by its share; returns what was moved, with its former values."""
        every = [p for group in self.param_groups for p in group["params"]]
        moved = [(p, p.clone()) for p in every if p.grad is not None and p.dim() > 1]
        for p, before in moved:
            slope = p.grad.float() if p.dtype in (torch.float16, torch.bfloat16) else p.grad
            length = slope.norm()
            scale = torch.where(length > 0, self.radius * before.norm().to(length) / length, 0.0)
            p.add_((slope * scale).nan_to_num(0.0, 0.0, 0.0))
        return moved

    def _land(self, moved: list[tuple[nn.Parameter, Tensor]], loss: Callable[[], float]) -> None:
        """Let the base step from where the weights are, and take the move off again."""
        there = [p.detach().clone() for p, _ in moved]
        self.base.step(loss)
        with torch.no_grad():
            for (p, before), reached in zip(moved, there, strict=True):
                p.copy_(before + (p - reached))  # exact where the base does not move
