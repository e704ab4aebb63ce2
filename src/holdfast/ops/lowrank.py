"""Matrices of low rank."""

from __future__ import annotations

import torch
from torch import Tensor


def condition(matrix: Tensor) -> Tensor:
    """The largest singular value over the least that is not zero up to rounding."""
    s = torch.linalg.svdvals(matrix.detach().double())
    least = s.amax() * max(matrix.shape) * torch.finfo(matrix.dtype).eps
    real = s[s > least]
    found: Tensor = real.amax() / real.amin() if len(real) else s.new_tensor(1.0)
    return found
