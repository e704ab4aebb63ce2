"""What splitting a neuron would do to the bounds of a part, roughly and many at once."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from holdfast.certify.linear.draft import Draft
from holdfast.certify.search.climb import Climb
from holdfast.certify.search.signs import Signed
from holdfast.certify.search.splits import Splits
from holdfast.ops.batch import chunks
from holdfast.ops.interval import TINY

NUMBERS = 2**22  # coefficients at ReLUs held at once


def chord(low: Tensor, high: Tensor) -> Tensor:
    """How far the plane above a ReLU lies above zero at zero."""
    return -low * high / (high - low).clamp(min=TINY)


def losses(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """What the planes of a ReLU lose per unit of a coefficient below zero, and above it.

    Both are zero where the sign is known.
    """
    known = (low >= 0) | (high <= 0)
    small = torch.minimum(high, -low) / 4
    return chord(low, high).masked_fill(known, 0.0), small.masked_fill(known, 0.0)


def sketched(signed: Signed, parts: Splits, index: Tensor, asked: int, loss: float) -> Tensor:
    """`(2, N, C)`: how good each half of each part is if a neuron is split, zero being best.

    One evaluation in float32 with the slopes and multipliers of the part, of which only the line
    of the neuron changes. The number is for a choice and bounds nothing.

    Args:
        signed: the region.
        parts: with boxes that splits only cut at zero.
        index: `(N, C)` open neurons, counted over all ReLUs.
        asked: how many alternatives are looked at, the worst of each part.
        loss: weight of what planes still lose.
    """
    neurons = sum(prod(signed.graph.nodes[i].shape) for i in signed.relus)
    each = 2 * index.shape[1] * min(asked, parts.bound.shape[1]) * neurons
    every = chunks(len(parts), max(1, NUMBERS // each))
    return torch.cat([_sketched(signed, parts.take(r), index[r], asked, loss) for r in every], 1)


def _sketched(signed: Signed, parts: Splits, index: Tensor, asked: int, loss: float) -> Tensor:
    order = parts.bound.argsort(1).argsort(1)
    rows, which = (parts.open & (order < asked)).nonzero().unbind(1)
    climb = Climb(signed.pairs(parts, rows, which), signed.scale)
    shape = len(rows), 2, index.shape[1]
    pair = torch.arange(len(rows)).repeat_interleave(2 * index.shape[1])
    draft = climb.draft.taken(pair, lambda v: v[pair] if len(v) else v)
    draft.push = {p: (climb.signs[p] * beta)[pair] for p, beta in climb.betas.items()}
    _split(signed, draft, index[rows])
    a, d = climb.asked()
    found = (draft.down(a[pair], None) - d[pair]).nan_to_num(-torch.inf).reshape(shape)
    left = torch.zeros_like(found)
    for i, p in signed.relus.items():
        if i in draft.passed:
            # A neuron that was split loses nothing.
            a = (draft.passed[i].a * draft.fixed[i][0]).reshape(*shape, -1)
            under, over = losses(parts.low[p][rows].float(), parts.high[p][rows].float())
            left -= (a.clamp(max=0) @ under.flatten(1)[:, None, :, None])[..., 0]
            left += (a.clamp(min=0) @ over.flatten(1)[:, None, :, None])[..., 0]
    bound, rest = (v.float()[None, :, None].repeat(2, 1, index.shape[1], 1)
                   for v in (parts.bound, torch.zeros_like(parts.bound)))  # fmt: skip
    bound[:, rows, :, which] = torch.maximum(bound[:, rows, :, which], found)
    rest[:, rows, :, which] = left
    worst = bound.argmin(3, keepdim=True)
    return bound.clamp(max=0).sum(3) - loss * rest.gather(3, worst)[..., 0]


def _split(signed: Signed, draft: Draft, neuron: Tensor) -> None:
    """Fix one of neurons `(Q, C)` in each row, `(Q, 2, C)` of them: not positive, not negative."""
    on = torch.tensor([False, True])[:, None].expand(len(neuron), 2, neuron.shape[1]).flatten()
    neuron, start = neuron[:, None].expand(-1, 2, -1).flatten(), 0
    for i, p in signed.relus.items():
        place, size = neuron - start, prod(signed.graph.nodes[p].shape)
        start += size
        here = ((place >= 0) & (place < size)).nonzero().flatten()
        at, sign = place[here], on[here].float()
        open_, above, offset = (v.flatten(1) for v in draft.fixed[i])
        open_[here, at], above[here, at], offset[here, at] = 0.0, sign, 0.0
        draft.free[draft.slots[i].start].flatten(1)[here, at] = sign
