"""How far the logits move with the input, as a penalty."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.fields import Natural, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Objective, Run
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.penalized import leaf, slope


@register(
    "objective", cites="jacobian-regularization", name="jacobian",
    says="Half the squared norm of the slopes of all logits.",
)  # fmt: skip
@settings
class JacobianNorm(Objective):
    """Half the squared Frobenius norm of the Jacobian of the logits in the input: a penalty.

    A small change d moves the logits by at most `|J| |d|`, so small slopes mean wide cells around
    the rows. The norm is estimated along random directions v of unit length in the space of
    logits: `K |d(v z)/dx|^2` has the squared norm as its mean, as `E v v^T = I / K`, and one
    direction per row is enough in training. Meant as the penalty of `objective:penalized`.

    Cost: one forward pass and one backward pass per direction, and the pass through those.

    Args:
        directions: random directions per row; 0 takes all logits, exactly.
    """

    directions: Natural = 1

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x = leaf(tensor_of(batch))
        with torch.autocast(x.device.type, enabled=False):
            z = logits(run.model(x)).flatten(1)
            count = z.shape[1]
            if self.directions:
                draws = run.dice.spawn("jacobian").normal(
                    (self.directions, count), device=z.device, dtype=z.dtype
                )
                ways = draws / draws.norm(dim=2, keepdim=True) * (count / self.directions) ** 0.5
            else:
                ways = torch.eye(count, device=z.device, dtype=z.dtype).expand(len(z), -1, -1)
            each = [slope((z * way).sum(1), x).square().sum(1) for way in ways.unbind(1)]
            return torch.stack(each).sum(0) / 2
