"""A number for each row that depends on what the row holds and on nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from holdfast.core.splitmix import GOLDEN, mixed, number
from holdfast.ops.batch import Inputs


def row_keys(x: Inputs) -> Tensor:
    """`(B,)` int64: a hash of the contents of each row, to key draws that belong to an input.

    A draw made from it is a fixed function of the input. That keeps every argument that rests on
    exchangeable rows, whatever the batch, and gives the same input the same draw at any time.

    Args:
        x: a tensor, a mapping of tensors or texts, rows first.
    """
    if isinstance(x, Tensor):
        flat = x.detach().flatten(1) if x.dim() > 1 else x.detach()[:, None]
        if flat.is_floating_point():
            bits = (flat.double() + 0.0).contiguous().view(torch.int64)  # -0 is 0
        else:
            bits = flat.long()
        place = torch.arange(bits.shape[1], device=bits.device) * GOLDEN
        return mixed(mixed(bits + mixed(place)).sum(1))
    if isinstance(x, Mapping):
        parts = [mixed(row_keys(x[name]) + number(name)) for name in sorted(x)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total
    return torch.tensor([number(text) for text in x], dtype=torch.int64)
