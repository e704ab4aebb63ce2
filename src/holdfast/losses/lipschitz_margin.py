"""Losses of a margin that a Lipschitz constant bounds: the bottom logit and adaptive margins."""

from __future__ import annotations

import torch
from torch import Tensor


def bottom(z: Tensor, slopes: Tensor, radius: float) -> Tensor:
    """`(B,)`: the largest logit that another class could reach against the predicted one.

    With j the predicted class it is `max over i != j of z_i + radius * slopes[j, i]`. The
    prediction holds on the whole ball iff it lies above this number.

    Args:
        z: `(B, K)` logits.
        slopes: `(K, K)`, Lipschitz constants of `z_i - z_j` at [j, i].
        radius: of the Euclidean ball.
    """
    j = z.argmax(1)
    reached = z + radius * slopes[j]
    return reached.scatter(1, j[:, None], -torch.inf).amax(1)


def with_bottom(z: Tensor, slopes: Tensor, radius: float) -> Tensor:
    """`(B, K + 1)`: the logits and the bottom one, which wins where nothing is certified."""
    return torch.cat([z, bottom(z, slopes, radius)[:, None]], 1)


def adaptive_margins(
    z: Tensor, y: Tensor, slopes: Tensor, radius: float, *, least: float = 0.01
) -> Tensor:
    """`(B, K)`: logits relative to the label's, each raised by what the ball may add (EMMA).

    Class i is raised by `r_i radius slopes[y, i]`, where `r_i`, between `least` and 1, is the
    share of the radius at which it would draw level with the label; it counts as fixed. Classes
    that are certified already get the full radius, the others no more than what is in dispute,
    so that all of them are pushed at once and none beyond reach.

    Args:
        z: `(B, K)` logits.
        y: `(B,)` labels.
        slopes: `(K, K)`, Lipschitz constants of `z_i - z_j` at [j, i].
        radius: of the Euclidean ball.
        least: smallest share.
    """
    own = y.clamp(min=0)[:, None]
    reach = radius * slopes[own[:, 0]]
    behind = z.gather(1, own) - z
    share = (behind / reach.clamp(min=1e-12)).clamp(least, 1).detach()
    return (share * reach - behind).scatter(1, own, 0.0)
