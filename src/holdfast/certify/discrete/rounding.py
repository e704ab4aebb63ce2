"""How far two evaluations of the same row may lie apart, where they share no batch."""

from __future__ import annotations

import torch
from torch import Tensor


def unit(dtype: torch.dtype) -> float:
    """The share of a row's largest logit by which another batch may change its logits.

    Sums are taken in another order there. Certificates of black boxes count on this much: 1e-9
    in double precision, 1e-5 in single, 64 units of rounding in shorter types.
    """
    return 1e-9 if dtype == torch.float64 else max(1e-5, 64 * torch.finfo(dtype).eps)


def disagreement(z: Tensor) -> Tensor:
    """`(M,)` float64: how far the logits of each row may lie from those in another batch.

    Args:
        z: `(M, K)` as the model gave them, in its own type.
    """
    largest: Tensor = z.double().abs().amax(1)
    return unit(z.dtype) * largest
