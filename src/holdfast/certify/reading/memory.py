"""Whether tensors share memory."""

from __future__ import annotations

import torch
from torch import Tensor


def overlap(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors share memory."""
    if a.untyped_storage().data_ptr() != b.untyped_storage().data_ptr():
        return False
    if a.is_contiguous() and b.is_contiguous():
        ends = [(t.data_ptr(), t.data_ptr() + t.numel() * t.element_size()) for t in (a, b)]
        return ends[0][0] < ends[1][1] and ends[1][0] < ends[0][1]
    return not _addresses(a).isdisjoint(_addresses(b))


def _addresses(t: Tensor) -> set[int]:
    places = torch.zeros((), dtype=torch.long)
    for length, stride in zip(t.shape, t.stride(), strict=True):
        places = places[..., None] + torch.arange(length) * stride * t.element_size()
    return set((places + t.data_ptr()).flatten().tolist())
