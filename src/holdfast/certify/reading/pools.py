"""How max pooling becomes nodes: trees of maxima over windows that may overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.certify.reading.layout import ROWS_FIRST, Placed, tags
from holdfast.certify.reading.maxima import tree
from holdfast.certify.reading.moves import Args, Named
from holdfast.certify.reading.recorder import Found, Recorder
from holdfast.certify.reading.refusals import unsupported


def _each(value: Sequence[int], count: int, otherwise: Sequence[int]) -> list[int]:
    value = list(value) or list(otherwise)
    return value if len(value) == count else value * count


def max_pool(r: Recorder, args: Args, named: Named, out: Any) -> Found:
    """Max pooling over windows that may overlap; padding never wins."""
    x, result = args[0], out[0] if isinstance(out, tuple) else out
    placed, spatial = r.placed(x), tuple(x.shape[2:])
    if placed is None:
        raise unsupported("pooling of a constant")
    n = len(spatial)
    kernel = _each(args[1], n, ())
    stride = _each(args[2] if len(args) > 2 else (), n, kernel)
    padding = _each(args[3] if len(args) > 3 else (), n, [0] * n)
    dilation = _each(args[4] if len(args) > 4 else (), n, [1] * n)
    number = tags(placed, r.rows, 1)[0].long() // r.rows  # 0 will mean padding
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    needed = [(m - 1) * s + t for m, s, t in zip(result.shape[2:], stride, reach, strict=True)]
    for axis in range(n):
        after = max(0, needed[axis] - spatial[axis] - padding[axis])
        ends = [0, 0] * (n - 1 - axis) + [padding[axis], after]
        number = F.pad(number, ends).narrow(1 + axis, 0, needed[axis])
    for axis in range(n):  # windows go to the end
        number = number.unfold(1 + axis, reach[axis], stride[axis])[..., :: dilation[axis]]
    return _pooled(r, placed, number.flatten(1 + n), result)


def _pooled(r: Recorder, placed: Placed, windows: Tensor, out: Tensor) -> int:
    index = windows.movedim(-1, 0) - 1
    index = torch.where(index < 0, index.amax(0, keepdim=True), index).to(out.device)
    return tree(r, placed.node, placed.shape[1:], index, out, ROWS_FIRST, 1.0)


def adaptive_max_pool(r: Recorder, args: Args, named: Named, out: Any) -> Found:
    """Max pooling into a given number of windows."""
    x, result = args[0], out[0]
    placed = r.placed(x)
    if placed is None:
        raise unsupported("pooling of a constant")
    index = torch.arange(placed.size).reshape(placed.shape[1:])
    for axis, (length, parts) in enumerate(zip(x.shape[2:], result.shape[2:], strict=True), 1):
        starts = [i * length // parts for i in range(parts)]
        stops = [-((-(i + 1) * length) // parts) for i in range(parts)]
        most = max(b - a for a, b in zip(starts, stops, strict=True))
        # Short windows name their last number again.
        places = [[min(a + k, b - 1) for k in range(most)]
                  for a, b in zip(starts, stops, strict=True)]  # fmt: skip
        index = index.index_select(axis, torch.tensor(places).flatten())
        index = index.unflatten(axis, (parts, most)).movedim(axis + 1, -1)
    return _pooled(r, placed, index.flatten(x.dim() - 1) + 1, result)
