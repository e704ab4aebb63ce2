"""Attributions shall keep their direction under attack."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.fields import Count, Part, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Attack, Model, Objective, Run, Threat
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.adversary import LargestLoss, Mode, goal_of, sought
from holdfast.objectives.penalized import leaf, slope
from holdfast.threats.norms import LInf


def attributed(model: Model, x: Tensor, y: Tensor, steps: int) -> Tensor:
    """`(B, n)`: integrated gradients of each row's label, differentiable in weights and input.

    The mean slope at the midpoints of `steps` pieces of the way from zero, times the input; they
    add up to what the logit gains on that way, up to the error of the midpoint rule.

    Args:
        model: inputs -> logits first.
        x: `(B, ...)`.
        y: `(B,)` labels; -100 counts as the first class.
        steps: places at which the slope is taken, all in one pass.
    """
    share = (torch.arange(steps, device=x.device, dtype=x.dtype) + 0.5) / steps
    path = share.view(-1, *(1,) * x.dim()) * x
    path = path.flatten(0, 1)
    if not path.requires_grad:
        path = leaf(path)
    z = logits(model(path))
    own = z.gather(1, y.clamp(min=0).repeat(steps)[:, None]).squeeze(1)
    found: Tensor = slope(own, path).unflatten(0, (steps, len(x))).mean(0) * x.flatten(1)
    return found


class Attributing(nn.Module):
    """A model whose answers are its attributions of fixed labels: what an attack can turn.

    Args:
        model: whose answers are attributed.
        y: `(B,)` labels of the rows it will be given, all together and in this order.
        steps: places at which slopes are taken.
    """

    def __init__(self, model: nn.Module, y: Tensor, steps: int) -> None:
        super().__init__()
        self.model, self.y, self.steps = model, y, steps

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            return attributed(self.model, x, self.y, self.steps)


@register(
    "objective", cites="igr-attribution-protection", name="attribution-protection",
    says="How far an attack turns the integrated gradients of a row.",
)  # fmt: skip
@settings
class AttributionProtection(Objective):
    """One minus the cosine of the integrated gradients of a row and of the row attacked: a penalty.

    Rankings of pixels (Kendall's tau) follow the direction of attributions, not their distance in
    any norm: of normal ones with correlation r, tau is `(2/pi) arcsin r`. So it is the direction
    that is protected. The attack is that on the label; gradients flow through both attributions.
    Nets of ReLU have no second slopes, so train smooth ones (`nn.Softplus(beta=10)`). As the
    penalty of `objective:penalized`, with `objective:pgd-at` or plain labels as the base.

    Cost: the attack, `2 * steps` forward and backward passes, and the pass through those.

    Args:
        attack: how the attacked row is found.
        threat: which changes are admissible.
        steps: places on the way from zero at which slopes are taken.
        mode: mode of the model during the attack.
    """

    attack: Part[Attack] = PGD(steps=7, travel=2.5, climb="soft")
    threat: Part[Threat] = LInf()
    steps: Count = 8
    mode: Mode = "eval"

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, y, threat = tensor_of(batch), batch.y, resolve(self.threat)
        goal = LargestLoss(goal_of(y))
        change = sought(run, self.attack, x, lambda: goal, threat, self.mode)
        labels = y.argmax(-1) if y.is_floating_point() else y
        moved = threat.apply(x, change).detach()
        before, after = (
            attributed(run.model, row, labels, self.steps) for row in (x.detach(), moved)
        )
        return 1 - F.cosine_similarity(before, after, dim=1, eps=1e-8)
