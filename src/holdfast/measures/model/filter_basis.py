"""Filters of nets as rows of one space, and how far apart two sets of them are distributed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from holdfast.core.errors import Unsupported
from holdfast.measures.model.filters import flat, kernels

FLOOR = 1e-4  # probability that every bin gets, so that logarithms are finite


def scaled(w: Tensor) -> Tensor:
    """`(n, k)`: the filters of one layer, of which the largest entry is made 1."""
    rows = flat(w)
    return rows / rows.abs().max().clamp(min=1e-300)


def net_filters(net: nn.Module, side: int = 3, leave: Sequence[str] = ()) -> Tensor:
    """All scaled filters of a net, but those of some layers.

    Args:
        net: a model with convolutions.
        side: of the kernels that count, in pixels.
        leave: names of layers that do not count.

    Returns:
        `(n, side * side)`: one filter per row, the layers one after the other.

    Raises:
        Unsupported: if there are none.
    """
    rows = [scaled(w) for name, w in kernels(net, side).items() if name not in leave]
    if not rows:
        raise Unsupported(
            f"filter shift: a model has no convolution of {side} by {side} pixels",
            fix=f"Give side= the size of the kernels that the model has, such as side={side + 2}.",
        )
    return torch.cat(rows)


def basis(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Principal directions `(k, k)` of filters, as columns, and the share of variance of each."""
    centred = rows - rows.mean(0)
    _, power, right = torch.linalg.svd(centred, full_matrices=False)
    shares = power.square() / power.square().sum().clamp(min=1e-300)
    return right.T, shares


def histograms(coefficients: Tensor, ends: tuple[Tensor, Tensor], bins: int) -> Tensor:
    """`(k, bins)`: shares of each column over a common range, none below the floor."""
    low, high = ends
    place = (coefficients - low) / (high - low).clamp(min=1e-300) * bins
    hot = nn.functional.one_hot(place.long().clamp(0, bins - 1), bins).double().mean(0)
    return (hot + FLOOR) / (1 + bins * FLOOR)


def filter_shift(a: Tensor, b: Tensor, *, bins: int = 70) -> float:
    """Symmetric divergence of the distributions of two sets of filters.

    In the principal directions of both together, each weighted by its share of the variance:
    KL(p, q) + KL(q, p) of histograms over a common range. 0 for equal sets, and symmetric.

    Args:
        a: `(n, k)` scaled filters.
        b: `(m, k)` others.
        bins: of the histograms.
    """
    both = torch.cat([a, b])
    turn, shares = basis(both)
    coefficients = both @ turn
    ends = coefficients.amin(0), coefficients.amax(0)
    p, q = (histograms(part, ends, bins) for part in coefficients.split([len(a), len(b)]))
    return float((shares * ((p - q) * (p / q).log()).sum(1)).sum())


def spike_score(values: Tensor, *, bins: int = 70, top: int = 3) -> float:
    """Mass in the fullest bins over what even spreading would give them; `bins / top` at most.

    Filters that are learned spread out; copied, fixed or clipped ones heap up in few places.

    Args:
        values: `(n,)` coefficients of one layer.
        bins: over the range from -1 to 1 of scaled filters.
        top: how many of the fullest count.
    """
    place = ((values.double() + 1) / 2 * bins).long().clamp(0, bins - 1)
    counts = torch.bincount(place, minlength=bins).double()
    return float(counts.sort(descending=True).values[:top].sum() / counts.sum() / (top / bins))
