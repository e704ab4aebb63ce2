"""Answers by the nearest known rows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def votes(known: Tensor, y: Tensor, query: Tensor, k: int, classes: int) -> Tensor:
    """`(B, classes)`: how many of the k nearest known rows by cosine have each label.

    Args:
        known: `(n, d)` embeddings.
        y: `(n,)` their labels.
        query: `(B, d)` embeddings.
        k: neighbours, at most n.
        classes: number of classes.
    """
    alike = F.normalize(query, dim=1) @ F.normalize(known, dim=1).T
    nearest = alike.topk(min(k, len(known)), 1).indices
    return F.one_hot(y[nearest], classes).sum(1).to(torch.promote_types(query.dtype, torch.float32))
