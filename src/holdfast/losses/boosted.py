"""Cross-entropy that also asks for distance from the runner-up."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.goal import Outputs, logits
from holdfast.losses.pick import of_target


@register("loss", cites="mart")
def boosted_cross_entropy(outputs: Outputs, target: Tensor) -> Tensor:
    """Cross-entropy plus the price of the strongest wrong class: `-log p_y - log(1 - p_k)`.

    k is the most probable class other than the label. Where two classes are left the second term
    repeats the first; among more it asks for a gap that cross-entropy alone does not see. Both
    logarithms are taken of sums of probabilities, never of a difference, so that nothing has to
    be clipped.

    Args:
        outputs: logits `(..., K)`.
        target: labels `(...)`, or label shares `(..., K)`, whose losses are mixed.

    Returns:
        `(...)`, in [0, inf); 0 at -100.
    """
    logp = logits(outputs).log_softmax(-1)
    top = logp.topk(min(2, logp.shape[-1]), -1).indices
    without = [
        logp.scatter(-1, top[..., i : i + 1], -torch.inf).logsumexp(-1, keepdim=True)
        for i in range(top.shape[-1])
    ]
    if len(without) < 2:  # a single class has no rival
        return of_target(-logp, target)
    first = torch.zeros_like(logp, dtype=torch.bool).scatter(-1, top[..., :1], True)
    return of_target(-logp - torch.where(first, without[1], without[0]), target)
