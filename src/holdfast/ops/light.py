"""Counts of light: the Poisson distribution inverted, whole pictures at a time."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

BYTE = 255
_PIECE = 1 << 14  # values at a time: what fits into a cache
_EXACT = 12.0  # below this mean the Poisson distribution is inverted exactly
_MOST = 600.0  # counts at full brightness up to which tables are made
_CELLS = 1024  # of equal parts of [0, 1) in which the count is looked up
_UNSURE = -1
_GRID = 1e-3  # so near to a whole level of eight bits a value is one


def poisson(mean: Tensor, u: Tensor, most: float = _EXACT) -> Tensor:
    """Poisson counts that belong to uniform draws, by inverting the distribution.

    Small means are inverted exactly; large ones by the Cornish-Fisher expansion of third
    order, whose error in the distribution function is below 1e-3 from a mean of 12 on. Counts
    grow with the mean and with the draw.

    Args:
        mean: any shape, at least 0, float64.
        u: draws in [0, 1) of the same shape, float64.
        most: the largest mean to be expected; a small one saves time.

    Returns:
        Whole numbers of the same shape.
    """
    limit = min(_EXACT, most * (1 + 1e-9))
    parts = zip(mean.flatten().split(_PIECE), u.flatten().split(_PIECE), strict=True)
    found = [_poisson(m, v, limit) for m, v in parts]
    return torch.cat(found).reshape(mean.shape) if found else mean.clone()


def _poisson(mean: Tensor, u: Tensor, limit: float) -> Tensor:
    low = mean.clamp(max=limit)
    term = torch.exp(-low)
    below = term.clone()
    small = torch.zeros_like(mean)
    for count in range(1, _longest(limit)):
        less = below < u
        if count % 4 == 0 and not bool(less.any()):
            break
        small += less
        term.mul_(low).div_(count)
        below += term
    if limit < _EXACT or not bool((mean > limit).any()):
        return small
    z = torch.special.ndtri(u.clamp(min=1e-17))
    root = mean.clamp(min=1e-12).sqrt()
    series = mean + root * z + (z * z - 1) / 6 + (z - z**3) / (72 * root)
    return torch.where(mean <= limit, small, series.round().clamp(min=0))


def _longest(mean: float) -> int:
    return int(mean + 7 * mean**0.5 + 8)  # beyond lies less than 1e-10


@lru_cache(maxsize=32)
def _tables(inverse: float) -> tuple[Tensor, Tensor, int]:
    """For each of 256 levels the distribution, shifted by the level; and counts by cells of draws.

    Returns:
        `(256 k,)` sorted sums; `(256 x 1024,)` counts, or `_UNSURE` where a cell holds several;
        k.
    """
    mean = torch.arange(BYTE + 1, dtype=torch.float64) / BYTE / inverse
    term = torch.exp(-mean)
    sums = [term]
    for count in range(1, _longest(1 / inverse)):
        term = term * mean / count
        sums.append(sums[-1] + term)
    below = torch.stack(sums, 1).clamp(max=1)
    edge = torch.arange(_CELLS + 1, dtype=torch.float64) / _CELLS
    at = torch.searchsorted(below, edge.expand(BYTE + 1, -1).contiguous())
    at[:, -1] = below.shape[1]  # the last cell reaches into the tail
    cells = torch.where(at[:, 1:] == at[:, :-1], at[:, :-1], _UNSURE).short()
    cells[0] = 0  # no light, no counts
    level = torch.arange(BYTE + 1, dtype=torch.float64)
    return (below + level[:, None]).flatten(), cells.flatten(), below.shape[1]


def photographed(x: Tensor, inverse: float, u: Tensor) -> Tensor:
    """Pictures as so many counts of light show them: `Poisson(x / inverse) * inverse`.

    Values on the 256 levels of eight bits, which most pictures have, take their counts from a
    table of the distribution of each level; others, and very bright light, from `poisson`.
    Each value is treated by itself, so a picture does not depend on its batch.

    Args:
        x: any shape, in [0, 1].
        inverse: one over the counts at full brightness, above 0.
        u: draws in [0, 1) of the same shape, float64.

    Returns:
        Of the type of `x`.
    """
    if 1 / inverse > _MOST:
        return poisson(x.double() / inverse, u, 1 / inverse).mul_(inverse).to(x.dtype)
    sums, cells, k = _tables(inverse)
    sums, cells = sums.to(x.device), cells.to(x.device)
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    parts = (v.flatten().split(_PIECE) for v in (x, u, out))
    for light, draw, part in zip(*parts, strict=True):
        scaled = light * BYTE
        level = scaled.round()
        place = level.int().mul_(_CELLS).add_((draw * _CELLS).int())
        count = cells.index_select(0, place)
        unsure = (count == _UNSURE).nonzero()[:, 0]
        own = level.index_select(0, unsure).double()
        found = torch.searchsorted(sums, draw.index_select(0, unsure).add_(own)) - own.long() * k
        # A draw of 0 finds the end of the level below.
        part.copy_(count).scatter_(0, unsure, found.clamp_(min=0).to(x.dtype))
        off = scaled.sub_(level).abs_()
        if off.numel() and float(off.amax()) > _GRID:
            rest = (off > _GRID).nonzero()[:, 0]
            mean = light[rest].double() / inverse
            part[rest] = poisson(mean, draw[rest], 1 / inverse).to(x.dtype)
    return out.mul_(inverse)
