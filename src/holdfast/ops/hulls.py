"""Distances from points to the centre, the affine hull and the convex hull of a set of points."""

from __future__ import annotations

import torch
from torch import Tensor


def affine_hull(points: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Mean and the directions in which a set of points spreads most.

    Args:
        points: `(n, d)`.
        rank: how many directions at most.

    Returns:
        The mean `(d,)` and orthonormal directions `(d, r)` with r the smaller of `rank` and the
        rank of the centred points, so that `basis @ basis.T` projects onto their span.
    """
    mean = points.mean(0)
    _, values, rows = torch.linalg.svd(points - mean, full_matrices=False)
    edge = values.max() * max(points.shape) * torch.finfo(points.dtype).eps
    kept = int(min(rank, int((values > edge).sum())))
    return mean, rows[:kept].T


def to_affine(f: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
    """`(B,)`: squared distance of each row to `mean + span(basis)`; differentiable."""
    apart = f - mean
    return (apart - (apart @ basis) @ basis.T).square().sum(1)


def to_convex(f: Tensor, points: Tensor, rounds: int = 16) -> Tensor:
    """`(B,)`: squared distance of each row to the convex hull of points, from above.

    Frank-Wolfe: in each round the weights move towards the point that lies furthest along the
    residual, by the best length in closed form. The weights are constants of the result, whose
    gradient is then that of the distance at the optimum (the minimum's derivative is the partial
    one).

    Args:
        f: `(B, d)`.
        points: `(n, d)`.
        rounds: of Frank-Wolfe; the gap falls like 1 over their number.
    """
    with torch.no_grad():
        near = points[torch.cdist(f, points).argmin(1)]
        for _ in range(rounds):
            corner = points[((f - near) @ points.T).argmax(1)]
            way = corner - near
            size = way.square().sum(1).clamp(min=torch.finfo(f.dtype).tiny)
            length = (((f - near) * way).sum(1) / size).clamp(0, 1)
            near = near + length[:, None] * way
    return (f - near).square().sum(1)
