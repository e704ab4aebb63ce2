"""Fields of displacements: minima of linear functions over them, and how they are made smooth."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.ops.hyperplane import dual_norm
from holdfast.ops.interval import TINY, gamma


def lower_on_fields(c: Tensor, reach: float, order: float) -> Tensor:
    """A number below `c . v` for all fields whose displacements have at most a length.

    Each pixel is on its own: the dual norm of its two coefficients, times the length.

    Args:
        c: `(P, 2, H, W)` float64 coefficients.
        reach: length of a displacement.
        order: of the norm that measures it.
    """
    each = dual_norm(c.movedim(1, -1).reshape(-1, 2), order).reshape(len(c), -1)
    total: Tensor = -reach * each.sum(1)
    return total * (1 + 4 * gamma(each.shape[1] + 8)) - TINY


def lower_on_smooth_fields(c: Tensor, reach: float, order: float, smooth: float) -> Tensor:
    """The same where, in addition, neighbours differ by at most `smooth` in either coordinate.

    For any number mu on each pair of neighbours, `c . v` is at least the minimum of
    `(c + D' mu) . v` over the lengths alone minus `smooth * sum |mu|`, where D takes differences.
    A linear program finds good numbers; the bound is then computed from them anew, so that it
    holds whatever the solver says.

    Args:
        c: `(P, 2, H, W)` float64 coefficients.
        reach: length of a displacement.
        order: of the norm that measures it.
        smooth: largest difference of neighbours.

    Cost: two linear programs of H W variables per row of coefficients.
    """
    height, width = c.shape[2:]
    pairs = _neighbours(height, width)
    free = lower_on_fields(c, reach, order)
    if not len(pairs) or not bool(c.isfinite().all()):
        return free
    flat = c.flatten(2)
    mu = torch.stack([torch.stack([_multipliers(v, pairs, reach, smooth) for v in row])
                      for row in flat.cpu()]).to(c)  # fmt: skip
    moved = flat.clone()
    moved.index_add_(2, pairs[:, 0].to(c.device), mu)
    moved.index_add_(2, pairs[:, 1].to(c.device), -mu)
    paid = mu.abs().sum((1, 2))
    # What the sums above may have lost, in units of the largest terms.
    mass = reach * (flat.abs().sum((1, 2)) + 8 * paid) + smooth * paid
    bound = lower_on_fields(moved.reshape(c.shape), reach, order) - smooth * paid
    return torch.maximum(free, bound - 4 * gamma(2 * flat[0].numel() + 16) * mass - TINY)


def _neighbours(height: int, width: int) -> Tensor:
    """`(E, 2)`: pixels that lie beside or below each other."""
    number = torch.arange(height * width).reshape(height, width)
    beside = torch.stack([number[:, :-1].flatten(), number[:, 1:].flatten()], 1)
    below = torch.stack([number[:-1].flatten(), number[1:].flatten()], 1)
    return torch.cat([beside, below])


def _multipliers(c: Tensor, pairs: Tensor, reach: float, smooth: float) -> Tensor:
    """`(E,)`: good multipliers of one coordinate's differences; zeros where the solver fails."""
    import numpy as np
    from scipy.optimize import linprog
    from scipy.sparse import coo_matrix, vstack

    edges = len(pairs)
    row = np.repeat(np.arange(edges), 2)
    sign = np.tile([1.0, -1.0], edges)
    d = coo_matrix((sign, (row, pairs.flatten().numpy())), shape=(edges, len(c)))
    found = linprog(
        c.numpy(), A_ub=vstack([d, -d]), b_ub=np.full(2 * edges, smooth),
        bounds=(-reach, reach), method="highs",
    )  # fmt: skip
    if found.ineqlin is None or found.status != 0:
        return torch.zeros(edges, dtype=c.dtype)
    price = -np.asarray(found.ineqlin.marginals)
    return torch.nan_to_num(torch.from_numpy(price[:edges] - price[edges:]).to(c))


def levelled(field: Tensor, most: float) -> Tensor:
    """The mean of the largest field below and the least above that differ by `most` at most.

    Each is an envelope: the least of all values plus `most` times the number of steps to them,
    reached by running over rows and columns both ways.

    Args:
        field: `(B, 2, H, W)`.
        most: how much neighbours may differ, in either coordinate.
    """
    below, above = field, -field
    for axis in (2, 3):
        below, above = _envelope(below, most, axis), _envelope(above, most, axis)
    return (below - above) / 2


def _envelope(field: Tensor, most: float, axis: int) -> Tensor:
    parts = list(field.unbind(axis))
    for order in (range(1, len(parts)), range(len(parts) - 2, -1, -1)):
        step = -1 if order.step > 0 else 1
        for i in order:
            parts[i] = torch.minimum(parts[i], parts[i + step] + most)
    return torch.stack(parts, axis) if parts else field
