"""Many tests at once."""

from __future__ import annotations

import torch
from torch import Tensor


def benjamini_hochberg(p: Tensor, level: float = 0.05) -> Tensor:
    """`(m,)` bool: the hypotheses rejected so that false ones make up at most `level` of them.

    The largest k with p_(k) <= level k / m is found, and the k smallest are rejected. The
    expected share of false rejections is at most `level` for independent tests and for positively
    dependent ones.

    Args:
        p: `(m,)` p-values; NaN is never rejected.
        level: bound of the expected share.
    """
    m = len(p)
    known = torch.nan_to_num(p.double(), nan=1.0)
    order = known.argsort()
    under = known[order] <= level * torch.arange(1, m + 1, dtype=torch.float64) / max(m, 1)
    count = int(under.nonzero().max()) + 1 if bool(under.any()) else 0
    rejected = torch.zeros(m, dtype=torch.bool)
    rejected[order[:count]] = True
    return rejected & ~p.isnan()
