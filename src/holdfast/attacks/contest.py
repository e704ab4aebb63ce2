"""What can be climbed where a goal is a contest between two classes."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.errors import Unsupported
from holdfast.core.goal import Goal, Outputs, Targeted, Untargeted, logits


def contestants(goal: Goal, z: Tensor, chosen: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`(B,)` each: the class that holds a row, and the one that would win.

    Args:
        goal: a contest between classes.
        z: `(B, K)` logits.
        chosen: `(B,)` positions among the ways to win; the best class unless given.

    Raises:
        Unsupported: for goals that are not a contest between classes.
    """
    z = z.detach()
    if isinstance(goal, Targeted):
        wanted = goal.target.to(z.device)
        return z.scatter(1, wanted[:, None], -torch.inf).argmax(1), wanted
    if not isinstance(goal, Untargeted):
        raise Unsupported(
            f"{type(goal).__name__} is no contest between classes", fix="Climb the margin."
        )
    held = goal.y.to(z.device).clamp(min=0)
    if chosen is not None:
        return held, chosen + (chosen >= held)
    return held, z.scatter(1, held[:, None], -torch.inf).argmax(1)


def at(z: Tensor, place: Tensor) -> Tensor:
    """`(B,)`: one logit of each row."""
    return z.gather(1, place[:, None]).squeeze(1)


def own(goal: Goal, outputs: Outputs) -> Tensor:
    """`(B,)`: minus the logit that holds the row: one term of the margin, alone."""
    z = logits(outputs)
    return -at(z, contestants(goal, z)[0])


def other(goal: Goal, outputs: Outputs) -> Tensor:
    """`(B,)`: the best logit that would win: the other term of the margin, alone."""
    z = logits(outputs)
    return at(z, contestants(goal, z)[1])


def probability(goal: Goal, outputs: Outputs) -> Tensor:
    """`(B,)`: the margin between probabilities, in [-1, 1], of one sign with the margin.

    Its gradient weighs the two contestants by their probabilities and every other logit by how
    likely it is. These weights are computed as logarithms and scaled to 1 per row: the direction
    stays exact where the probabilities themselves would round to zero or one.
    """
    z = logits(outputs).flatten(1)
    held, won = contestants(goal, z)
    return between(z, at(z, held), at(z, won))


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
