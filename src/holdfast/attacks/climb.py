"""What gradient attacks climb: one number per row that rises with the adversary's success."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.errors import Unsupported
from holdfast.core.goal import Goal, Outputs, Targeted, Untargeted, logits
from holdfast.core.kinds import Model, Threat
from holdfast.run.search import judged

Climb = Literal["soft", "margin", "dlr", "probability", "own", "other", "away"]
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


def way(goal: Goal, outputs: Outputs, chosen: Tensor) -> Tensor:
    """`(B,)`: one chosen way to win of each row."""
    return goal.ways(outputs).gather(1, chosen[:, None]).squeeze(1)


def scaled_way(goal: Goal, outputs: Outputs, chosen: Tensor) -> Tensor:
    """`(B,)`: one chosen way to win of each row, scaled as in the targeted DLR loss.

    With fewer than four classes the scale is undefined and it is the plain way.
    """
    z = logits(outputs).flatten(1)
    ahead = way(goal, outputs, chosen)
    if z.shape[1] < 4:
        return ahead
    top = z.topk(4, 1).values
    return ahead / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + _TINY)


def sides(goal: Goal, outputs: Outputs) -> tuple[Tensor, Tensor]:
    """`(B,)` each: the logit that the adversary pushes down, and the best that it pushes up.

    Raises:
        Unsupported: for goals that are not a contest between classes.
    """
    z = logits(outputs)
    if isinstance(goal, Untargeted):
        held = goal.y.to(z.device).clamp(min=0)[:, None]
        return z.gather(1, held).squeeze(1), z.scatter(1, held, -torch.inf).amax(1)
    if isinstance(goal, Targeted):
        wanted = goal.target.to(z.device)[:, None]
        return z.scatter(1, wanted, -torch.inf).amax(1), z.gather(1, wanted).squeeze(1)
    raise Unsupported(
        f"{type(goal).__name__} is no contest between classes", fix="Climb the margin."
    )


def own(goal: Goal, outputs: Outputs) -> Tensor:
    """`(B,)`: minus the logit that holds the row: one term of the margin, alone."""
    return -sides(goal, outputs)[0]


def other(goal: Goal, outputs: Outputs) -> Tensor:
    """`(B,)`: the best logit that would win: the other term of the margin, alone."""
    return sides(goal, outputs)[1]


def away(goal: Goal, outputs: Outputs) -> Tensor:
    """`(B,)`: the logit that holds the row: climbing it leads away first, to start elsewhere."""
    return sides(goal, outputs)[0]


def probability(goal: Goal, outputs: Outputs) -> Tensor:
    """`(B,)`: the margin between probabilities, in [-1, 1], of one sign with the margin.

    Its gradient weighs the two contestants by their probabilities and every other logit by how
    likely it is. These weights are computed as logarithms and scaled to 1 per row: the direction
    stays exact where the probabilities themselves would round to zero or one.
    """
    down, up = sides(goal, outputs)
    return between(logits(outputs).flatten(1), down, up)


def between(z: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """`(B,)`: the margin between the probabilities of two logits of each row, as `probability`."""
    with torch.no_grad():
        weights = _contest(z.double(), down.double()[:, None], up.double()[:, None]).to(z.dtype)
        worth = torch.exp(up - z.logsumexp(1)) - torch.exp(down - z.logsumexp(1))
    height = (weights * z).sum(1)
    return height + (worth - height).detach()


def _contest(z: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """`(B, K)`: the gradient of p(up) - p(down) in the logits, its largest part scaled to 1.

    With p = softmax(z): -p_d (sum of the other p + p_u) for `down`, p_u (sum of the others + p_d)
    for `up`, (p_d - p_u) p_k for the rest; no difference of nearly equal numbers is left.
    """
    whole = z.logsumexp(1, keepdim=True)
    a, b, level = up - whole, down - whole, z - whole
    held = _first(z == down)
    won = _first((z == up) & ~held)
    rest_held = level.masked_fill(held, -torch.inf).logsumexp(1, keepdim=True)
    rest_won = level.masked_fill(won, -torch.inf).logsumexp(1, keepdim=True)
    gap = torch.maximum(a, b) + torch.log(-torch.expm1(-(a - b).abs()))
    logs = torch.where(held, b + torch.logaddexp(rest_held, a), gap + level)
    logs = torch.where(won, a + torch.logaddexp(rest_won, b), logs)
    sign = torch.where(held | ((b < a) & ~won), -1.0, 1.0)
    return sign * torch.exp(logs - logs.amax(1, keepdim=True))


def _first(mask: Tensor) -> Tensor:
    """The first marked position of each row, alone."""
    return mask & (mask.cumsum(1) == 1)


CLIMBS: dict[str, Height] = {
    "soft": soft, "margin": margin, "dlr": dlr, "probability": probability,
    "own": own, "other": other, "away": away,
}  # fmt: skip


def ascend(
    model: Model,
    x: Tensor,
    goal: Goal,
    threat: Threat,
    change: Tensor,
    *,
    climb: str = "soft",
    height: Height | None = None,
    samples: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
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

    Returns:
        Margins `(B,)` (+inf for a non-finite output), what is climbed `(B,)`, and its gradient
        in the form of the change, zero where it is not finite.

    Raises:
        Unsupported: if no gradient reaches the change, or it is made of whole numbers.
    """
    if not change.is_floating_point():
        raise Unsupported(
            f"changes of {threat.spec} are whole numbers and have no gradient",
            fix="Use an attack on tokens (attack:gcg) or a score attack.",
        )
    if samples > 1:
        passes = [
            ascend(model, x, goal, threat, change, climb=climb, height=height)
            for _ in range(samples)
        ]
        mean = [torch.stack(parts).mean(0) for parts in zip(*passes, strict=True)]
        return mean[0], mean[1], mean[2]
    with torch.enable_grad():
        moved = change.detach().requires_grad_()
        outputs = threat.through(model, x, moved)
        climbed = (height or CLIMBS[climb])(goal, outputs)
        if not climbed.requires_grad:
            raise Unsupported(
                f"no gradient reaches the change under {threat.spec}",
                fix="Use a score attack (attack:square), or a model that is differentiable.",
            )
        (gradient,) = torch.autograd.grad(climbed.sum(), moved, allow_unused=True)
    if gradient is None:
        raise Unsupported(
            f"the outputs do not depend on the change under {threat.spec}",
            fix="Use a score attack (attack:square), or a model that is differentiable.",
        )
    reached, _ = judged(goal, outputs)
    return reached, climbed.detach(), gradient.contiguous().nan_to_num_(0.0, 0.0, 0.0)
