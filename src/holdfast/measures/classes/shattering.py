"""How rich is a finite class of functions? Dimensions by enumeration."""

from __future__ import annotations

import torch
from torch import Tensor

Masks = list[tuple[int, int]]  # functions above a witness and below it, as bits


def _masks(column: Tensor, gamma: float) -> Masks:
    """All pairs of sets that a witness at one point can make, none contained in another.

    Of all witnesses between the same two values the lowest one leaves the largest set above it,
    so that only witnesses `value + gamma` need to be tried.
    """
    found: dict[tuple[int, int], None] = {}
    values = [float(v) for v in column.unique()]
    for value in values:
        below = _bits(column <= value)
        # Rounding of `value + 2 gamma` must not turn away a function that lies just there.
        above = _bits(column >= value + 2 * gamma - 1e-12 * max(1.0, abs(value)))
        if above and below:
            found[above, below] = None
    return list(found)


def _bits(chosen: Tensor) -> int:
    return sum(1 << i for i in chosen.nonzero().flatten().tolist())


def fat_shattering(values: Tensor, gamma: float) -> int:
    """The fat-shattering dimension of a finite class at scale gamma.

    The largest number of points with witnesses r such that for every pattern of signs some
    function lies at least gamma above r where the sign is plus and at least gamma below where
    it is minus. Points are added one by one: what is not shattered is in no set that is.

    Args:
        values: `(F, n)` of every function at every point.
        gamma: scale, above 0.

    Cost: exponential in the dimension; meant for classes that fit on a page.
    """
    count, points = values.shape
    masks = [_masks(column, gamma) for column in values.double().T]
    everyone = (1 << count) - 1

    def deeper(first: int, groups: list[int]) -> int:
        best = 0
        for i in range(first, points):
            if points - i <= best:
                break
            for above, below in masks[i]:
                split = [g & side for g in groups for side in (above, below)]
                if all(split):
                    best = max(best, 1 + deeper(i + 1, split))
        return best

    return deeper(0, [everyone]) if count else 0


def dual_fat_shattering(values: Tensor, gamma: float) -> int:
    """The same with functions and points exchanged.

    Args:
        values: `(F, n)` of every function at every point.
        gamma: scale, above 0.
    """
    return fat_shattering(values.T, gamma)


def labelings(predictions: Tensor) -> Tensor:
    """`(C, n)`: the different rows among predictions `(H, n)`, every labeling of n points.

    Args:
        predictions: of every hypothesis at every point.
    """
    found: Tensor = torch.unique(predictions, dim=0)
    return found
