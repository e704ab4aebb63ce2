"""How good a ranking is: discounted gain, the rank of the first hit, and drops of either."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from holdfast.core.errors import ShapeError
from holdfast.core.ranges import inside

Gain = Literal["exp2", "linear"]


def _ordered(scores: Tensor, relevance: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Relevance `(Q, K)` in the order of the scores, equal ones in their own order; sorted, too."""
    if scores.shape != relevance.shape or scores.dim() != 2:
        raise ShapeError(
            f"scores must be (Q, K) like the relevance, got {tuple(scores.shape)} for "
            f"{tuple(relevance.shape)}",
            fix="Give one score and one relevance per question and candidate.",
        )
    inside("[1, inf]", "rankings", k=k)
    known = torch.nan_to_num(scores.double(), nan=-torch.inf)
    order = known.sort(dim=1, descending=True, stable=True).indices[:, :k]
    best = relevance.double().sort(dim=1, descending=True).values[:, :k]
    return relevance.double().gather(1, order), best


def ndcg(scores: Tensor, relevance: Tensor, *, k: int = 10, gain: Gain = "exp2") -> Tensor:
    """`(Q,)`: discounted gain of the first k documents over the best possible; NaN without any.

    Args:
        scores: `(Q, n)`, larger first; equal ones keep their order, NaN comes last.
        relevance: `(Q, n)`, 0 or larger.
        k: documents that count.
        gain: 2^relevance - 1, or the relevance itself.
    """
    found, best = _ordered(scores, relevance, k)
    if gain == "exp2":
        found, best = 2**found - 1, 2**best - 1
    weight = 1 / torch.arange(2, found.shape[1] + 2, device=found.device).double().log2()
    top = (best * weight).sum(1)
    return torch.where(top > 0, (found * weight).sum(1) / top, torch.nan)


def mrr(scores: Tensor, relevance: Tensor, *, k: int = 10) -> Tensor:
    """`(Q,)`: 1 / rank of the first relevant document among the first k, 0 beyond; NaN without any.

    Args:
        scores: `(Q, n)`, larger first.
        relevance: `(Q, n)`, relevant where above 0.
        k: documents that count.
    """
    found, best = _ordered(scores, relevance, k)
    hit = found > 0
    first = torch.where(hit.any(1), 1 / (hit.double().argmax(1) + 1), 0.0)
    return torch.where(best[:, 0] > 0, first, torch.nan)


def drop_rate(after: float, before: float, *, least: float = 0.01) -> float:
    """(after - before) / before, the denominator no smaller than `least`: a loss is negative.

    Args:
        after: the score under the change.
        before: the score without it.
        least: smallest denominator.
    """
    return (after - before) / max(abs(before), least)


def rank_of(scores: Tensor, document: Tensor) -> Tensor:
    """`(Q,)`: rank of one document per query, 1 for the first; equal scores keep their order.

    Args:
        scores: `(Q, n)`.
        document: `(Q,)` positions.
    """
    own = scores.gather(1, document[:, None])
    before = torch.arange(scores.shape[1], device=scores.device) < document[:, None]
    return ((scores > own) | ((scores == own) & before)).sum(1) + 1
