"""What gradient attacks climb: one number per row that rises with the adversary's success."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from holdfast.attacks.contest import other, own, probability
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Goal, Outputs, logits
from holdfast.core.kinds import Model, Threat
from holdfast.run.judge import counted
from holdfast.threats.ball import adds

Climb = Literal["soft", "margin", "dlr", "probability", "own", "other"]
Height = Callable[[Goal, Outputs], Tensor]
_TINY = 1e-12


def soft(goal: Goal, outputs: Outputs) -> Tensor:
    """`(B,)`: a smooth margin with the cross-entropy's direction of ascent.

    For a label, the cross-entropy is softplus(logsumexp(ways)). The softplus changes only the
    length of each row's gradient, never its direction, and rounds to zero for confident models;
    climbing logsumexp(ways) takes the same steps and cannot underflow.
    """
    if type(goal).soft is Goal.soft:
        return torch.logsumexp(goal.ways(outputs), -1)
    return goal.soft(outputs)


def margin(goal: Goal, outputs: Outputs) -> Tensor:
    """`(B,)`: the margin itself."""
    return goal(outputs)


def dlr(goal: Goal, outputs: Outputs) -> Tensor:
    """`(B,)`: the margin divided by the gap between the largest and the third largest logit.

    Unchanged when logits are shifted or scaled. With fewer than three classes there is no third
    logit and it is the plain margin.
    """
    z = logits(outputs).flatten(1)
    if z.shape[1] < 3:
        return goal(outputs)
    top = z.topk(3, 1).values
    return goal(outputs) / (top[:, 0] - top[:, 2] + _TINY)


CLIMBS: dict[str, Height] = {
    "soft": soft, "margin": margin, "dlr": dlr, "probability": probability,
    "own": own, "other": other,
}  # fmt: skip


class Slopes(NamedTuple):
    """A forward and a backward pass at a change.

    Args:
        margin: `(B,)`, +inf for a non-finite output.
        gradient: of what is climbed, in the form of the change, zero where it is not finite.
        height: computes `(B,)` what is climbed.
    """

    margin: Tensor
    gradient: Tensor
    height: Callable[[], Tensor]


def slopes(
    model: Model,
    x: Tensor,
    goal: Goal,
    threat: Threat,
    change: Tensor,
    *,
    climb: str = "soft",
    height: Height | None = None,
    samples: int = 1,
) -> Slopes:
    """One forward and one backward pass at a change, or the mean over several of them.

    Only the gradient with respect to the change is computed: parameters get none.

    Args:
        model: what is attacked.
        x: `(B, ...)` inputs.
        goal: of these rows.
        threat: of these rows.
        change: of these rows.
        climb: the name of what is climbed.
        height: what is climbed, instead of a name; sees all rows at once.
        samples: passes whose margins, heights and gradients are averaged, for a model that draws.

    Raises:
        Unsupported: if no gradient reaches the change, or it is made of whole numbers.
    """
    if not change.is_floating_point():
        raise Unsupported(
            f"changes of {threat.spec} are whole numbers and have no gradient",
            fix="Use an attack on tokens (attack:gcg) or a score attack.",
        )
    climbs = height or CLIMBS[climb]
    found = [_passed(model, x, goal, threat, change, climbs) for _ in range(samples)]
    if samples == 1:
        return found[0]
    return Slopes(
        torch.stack([each.margin for each in found]).mean(0),
        torch.stack([each.gradient for each in found]).mean(0),
        lambda: torch.stack([each.height() for each in found]).mean(0),
    )


def _passed(
    model: Model, x: Tensor, goal: Goal, threat: Threat, change: Tensor, climbs: Height
) -> Slopes:
    """One pass there and back."""
    with torch.enable_grad():
        outputs, moved = _reached(model, x, threat, change)
        known = goal.uphill(outputs) if climbs is soft else None
        top = logits(outputs) if known else climbs(goal, outputs)
        if not top.requires_grad:
            raise _severed("no gradient reaches the change", threat)
        pull = known.slope if known else torch.ones_like(top)
        (gradient,) = torch.autograd.grad(top, moved, pull, allow_unused=True)
    if gradient is None:
        raise _severed("the outputs do not depend on the change", threat)
    gradient = gradient.contiguous().nan_to_num_(0.0, 0.0, 0.0)
    if known:
        return Slopes(counted(known.margin, outputs), gradient, known.height)
    climbed = top.detach()
    with torch.no_grad():
        margins = counted(climbed if climbs is margin else goal(outputs), outputs)
    return Slopes(margins, gradient, lambda: climbed)


def _severed(says: str, threat: Threat) -> Unsupported:
    return Unsupported(
        f"{says} under {threat.spec}",
        fix="Use a score attack (attack:square), or a model that is differentiable.",
    )


def _reached(model: Model, x: Tensor, threat: Threat, change: Tensor) -> tuple[Outputs, Tensor]:
    """The outputs at a change, and the tensor whose gradient is that with respect to the change.

    Where a change is added to the input, the gradient at their sum is the same number, and the
    way back ends there.
    """
    if adds(threat) and change.dtype == x.dtype and change.shape == x.shape:
        point = threat.apply(x, change).detach().requires_grad_()
        return model(point), point
    moved = change.detach().requires_grad_()
    return threat.through(model, x, moved), moved
