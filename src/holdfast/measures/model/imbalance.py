"""Do both terms of the margin pull, or does one slope drown the other?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.goal import logits
from holdfast.core.inputs import one_tensor, with_slope
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.records import Reading
from holdfast.ops.statistics import quantile_interval


@dataclass(frozen=True, eq=False)
class Imbalance:
    """How unequal the slopes of the two terms of the margin are.

    Args:
        ratio: `(B,)` the larger over the smaller of the two slopes, sums of absolute values; 1
            where one of them is zero: what is not there cannot drown the other.
        alpha: of the interval.
    """

    ratio: Tensor
    alpha: float

    def readings(self) -> tuple[Reading, ...]:
        """The median over the rows."""
        value = float(self.ratio.median()) if len(self.ratio) else float("nan")
        low, high = quantile_interval(self.ratio, 0.5, self.alpha)
        return (Reading(
            name="gradient.imbalance", value=value, low=min(max(low, 1.0), value),
            high=max(high, value), n=len(self.ratio), unit="ratio", better="lower",
        ),)  # fmt: skip


@register("measure", cites="md-attack")
def gradient_imbalance(model: Model, batches: Batches, *, alpha: float = 0.05) -> Imbalance:
    """Ratio of the slopes of the two terms of the margin, the best other logit and the label's.

    The margin is `z_max - z_y`. Where the slope of one term is many times that of the other,
    ascent follows the one and ignores the other, however far it could still rise; an attack that
    climbs the terms one after the other does better. A median above 3 is a warning.

    Args:
        model: inputs -> logits first.
        batches: inputs and labels; points on the way of an attack say more than unchanged ones.
        alpha: the interval has coverage 1 - alpha.

    Cost: one forward and two backwards per row.

    Unlike the paper: the ratio is of sums of absolute slopes, the dual of the maximum norm, and
    does not depend on which of the two is larger.

    Raises:
        Unsupported: for inputs that are no tensor, or if no gradient reaches them.
    """
    x = one_tensor(batches.x, "slopes")
    return Imbalance(imbalance(model, x, batches.y), alpha)


def imbalance(model: Model, x: Tensor, y: Tensor) -> Tensor:
    """`(B,)`: the ratio of each row; see `gradient_imbalance`.

    Args:
        model: inputs -> logits `(B, K)`.
        x: one tensor of inputs.
        y: `(B,)` labels; -100 is taken for class 0.

    Raises:
        Unsupported: if no gradient reaches the inputs.

    Cost: one forward and two backward passes per row.
    """
    if not len(x):
        return x.new_ones(0, dtype=torch.float64)
    with quiet(model), torch.enable_grad():
        moved = x.detach().clone().requires_grad_()
        z = logits(model(moved))
        with_slope(z, "slopes")
        own = y.to(z.device).clamp(min=0)[:, None]
        best = z.scatter(1, own, -torch.inf).amax(1)
        slopes = [
            torch.autograd.grad(part.sum(), moved, retain_graph=True, allow_unused=True)[0]
            for part in (best, z.gather(1, own))
        ]
    sizes = [torch.zeros(len(x)) if s is None else s.flatten(1).abs().sum(1) for s in slopes]
    a, b = (s.double().cpu().nan_to_num() for s in sizes)
    both = (a > 0) & (b > 0)
    return torch.where(both, torch.maximum(a, b) / torch.minimum(a, b).clamp(min=1e-300), 1.0)
