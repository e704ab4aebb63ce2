"""Distances between structures: point clouds compared after the best rotation.

Distances for `attacks.goals.Moves` where the outputs are predicted structures: `rmsd`, and
`distance_rmsd` without a rotation; `moved_share` says how much of a structure stayed.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rmsd(p: Tensor, q: Tensor) -> Tensor:
    """Root mean square deviation after the best rotation and translation (Kabsch).

    Both clouds are centred; the rotation comes from the singular vectors of `P^T Q`, with the
    last one flipped where it would otherwise be a reflection: mirror images stay apart.

    Args:
        p: `(B, n, 3)` points.
        q: `(B, n, 3)` the same points of another structure, in the same order.

    Returns:
        `(B,)` in the unit of the points.
    """
    turned, centre = superposed(p, q)
    return (turned - centre).square().sum(2).mean(1).sqrt()


def superposed(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """The first cloud turned onto the second, both centred: `(B, n, 3)` each."""
    a, b = p.double(), q.double()
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    u, _, vt = torch.linalg.svd(a.transpose(1, 2) @ b)
    flip = torch.ones(len(a), 3, dtype=a.dtype, device=a.device)
    flip[:, 2] = torch.linalg.det(u @ vt).sign()
    return a @ (u * flip[:, None]) @ vt, b


def moved_share(p: Tensor, q: Tensor, levels: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)) -> Tensor:
    """`(B,)`: share of points that moved less than each level, averaged over the levels.

    Args:
        p: `(B, n, 3)`.
        q: `(B, n, 3)`.
        levels: distances, in the unit of the points.
    """
    turned, centre = superposed(p, q)
    gap = torch.linalg.vector_norm(turned - centre, dim=2)
    return torch.stack([(gap < level).double().mean(1) for level in levels]).mean(0)


def distance_rmsd(p: Tensor, q: Tensor) -> Tensor:
    """`(B,)`: root mean square difference of all pairwise distances; needs no rotation."""
    a, b = (torch.linalg.vector_norm(c[:, :, None] - c[:, None], dim=3) for c in (p, q))
    gap: Tensor = (a - b).double().square().mean((1, 2)).sqrt()
    return gap
