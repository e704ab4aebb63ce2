"""Entities in rows of tags: 0 is outside, 2 t + 1 begins one of type t, 2 t + 2 goes on with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Span(NamedTuple):
    """An entity: the first token, the one behind the last, and its type."""

    start: int
    stop: int
    kind: int


def spans(row: Sequence[int]) -> list[Span]:
    """The entities of one row of tags; what is below 0 (no label) is outside.

    An inner tag without its beginning starts an entity of its own, as in the usual scoring.
    """
    found: list[Span] = []
    start, kind = -1, -1
    for i, tag in enumerate([*row, 0]):
        goes_on = tag > 0 and tag % 2 == 0 and start >= 0 and kind == (tag - 1) // 2
        if goes_on:
            continue
        if start >= 0:
            found.append(Span(start, i, kind))
        start, kind = (i, (tag - 1) // 2) if tag > 0 else (-1, -1)
    return found


def tagged(entities: Sequence[Span], length: int) -> list[int]:
    """The row of tags of some entities that do not overlap."""
    row = [0] * length
    for start, stop, kind in entities:
        row[start:stop] = [2 * kind + 1, *[2 * kind + 2] * (stop - start - 1)]
    return row


def valid(tags: Tensor) -> Tensor:
    """`(B,)` bool: no inner tag `(B, T)` without its beginning right before or in front of it."""
    before = torch.cat([torch.zeros_like(tags[:, :1]), tags[:, :-1]], 1)
    inner = (tags > 0) & (tags % 2 == 0)
    return (~inner | (before == tags) | (before == tags - 1)).all(1)
