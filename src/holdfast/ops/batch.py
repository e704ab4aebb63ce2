"""The only ways to slice, count and join inputs, whatever they are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, cast, overload

import torch
from torch import Tensor

NEAR = 2**17  # input numbers on a CPU up to which what a layer makes of them stays in its caches
LEAST = 64  # rows below which starting an operation costs more than the caches save
Inputs: TypeAlias = Tensor | Mapping[str, Tensor] | Sequence[str]


def rows(x: Inputs) -> int:
    """Number of rows of a tensor, a mapping of tensors or a list of texts."""
    if isinstance(x, Tensor):
        return x.shape[0]
    if isinstance(x, Mapping):
        return next((len(v) for v in x.values()), 0)
    return len(x)


@overload
def take(x: Tensor, index: Tensor | slice) -> Tensor: ...
@overload
def take(x: Inputs, index: Tensor | slice) -> Inputs: ...
def take(x: Inputs, index: Tensor | slice) -> Inputs:
    """The rows of `x` at `index`: positions, a mask of length B, or a slice."""
    if isinstance(x, Tensor):
        return x[index.to(x.device) if isinstance(index, Tensor) else index]
    if isinstance(x, Mapping):
        return {name: take(value, index) for name, value in x.items()}
    if isinstance(index, slice):
        return x[index]
    chosen = index.nonzero().flatten() if index.dtype == torch.bool else index
    return [x[i] for i in chosen.tolist()]


@overload
def select(x: Tensor, positions: Tensor) -> Tensor: ...
@overload
def select(x: Inputs, positions: Tensor) -> Inputs: ...
def select(x: Inputs, positions: Tensor) -> Inputs:
    """The same for positions that lie in [0, B): rows are then copied whole, which is faster.

    Args:
        x: inputs, rows first.
        positions: `(n,)` int64, none of them negative.
    """
    if isinstance(x, Tensor):
        return x.index_select(0, positions.to(x.device)) if x.is_contiguous() else x[positions]
    if isinstance(x, Mapping):
        return {name: select(value, positions) for name, value in x.items()}
    return take(x, positions)


def join(parts: Sequence[Inputs]) -> Inputs:
    """Rows of several inputs of the same form, one after the other."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat([cast(Tensor, p) for p in parts])
    if isinstance(first, Mapping):
        maps = [cast(Mapping[str, Tensor], p) for p in parts]
        return {name: torch.cat([m[name] for m in maps]) for name in first}
    return [text for part in parts for text in cast(Sequence[str], part)]


def chunks(n: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` rows that cover `n` rows in order."""
    return (slice(i, min(i + size, n)) for i in range(0, n, size))


def fit(values: Tensor, like: Tensor) -> Tensor:
    """One number per row `(B,)`, shaped so that it multiplies `like` `(B, ...)` row by row."""
    return values.reshape(-1, *[1] * (like.dim() - 1))


def pick(mask: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """Row i of `yes` where `mask[i]`, of `no` elsewhere."""
    return torch.where(fit(mask, yes), yes, no)


def portion(x: Tensor) -> int:
    """Rows that are best sent through a model at once.

    All of them, but on a CPU no more than keep what a layer makes of them in its caches: layers
    that outgrow these take up to twice the time.
    """
    count = x.shape[0]
    if x.device.type != "cpu" or not count:
        return max(count, 1)
    return max(LEAST, NEAR // max(x.numel() // count, 1))
