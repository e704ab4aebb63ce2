"""Rules of functions that move numbers of a box without changing them, and of sums over axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from holdfast.ops.spans import Span
from holdfast.ops.tape import Map, NoRule

Rule = Callable[..., Any]


def mapped(x: Span, f: Map, spread: Map | None = None, constant: Tensor | None = None) -> Span:
    """An affine step of one box; half widths go through `spread`, `f` itself if left out."""
    return Span(x.tape, x.tape.affine([x.position], [f], [spread or f], constant))


def shaped(name: str) -> Rule:
    """Rearrangements that are told the number of rows, which is another on the way back."""

    def rule(x: Span, *args: Any, **kwargs: Any) -> Span:
        point = x.step.point
        out = getattr(point, name)(*args, **kwargs)
        if len(out) != len(point) or out[:1].numel() != point[:1].numel():
            raise NoRule("a reshape that mixes rows")
        row = out.shape[1:]
        return mapped(x, lambda v: v.reshape(len(v), *row))

    return rule


def moved(f: Map) -> Rule:
    """Maps without negative weights that do not touch the rows: means, slices, transposes."""

    def rule(x: Span, *args: Any, **kwargs: Any) -> Span:
        row = x.step.point.new_zeros(2, *x.shape[1:])
        counts = [f(row[:n], *args, **kwargs) for n in (1, 2)]
        if any(c.dim() == 0 or len(c) != n for n, c in enumerate(counts, 1)):
            raise NoRule("a step that mixes rows")
        return mapped(x, lambda v: f(v, *args, **kwargs))

    return rule


def chunk(x: Span, chunks: int, dim: int = 0) -> tuple[Span, ...]:
    """Parts along an axis."""
    sizes = [len(p) for p in torch.arange(x.shape[dim]).chunk(chunks)]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    if dim % x.dim() == 0:
        raise NoRule("a split of the rows")
    return tuple(
        mapped(x, lambda v, s=s, n=n: v.narrow(dim, s, n))
        for s, n in zip(starts, sizes, strict=True)
    )


def cat(parts: Any, dim: int = 0) -> Span:
    """Boxes side by side."""
    spans = [p for p in parts if isinstance(p, Span)]
    if len(spans) != len(parts) or dim % spans[0].dim() == 0:
        raise NoRule("a concatenation with constants, or of rows")
    sizes = [p.shape[dim] for p in spans]
    total = sum(sizes)

    def placed(start: int, size: int) -> Map:
        def place(v: Tensor) -> Tensor:
            before, behind = list(v.shape), list(v.shape)
            before[dim], behind[dim] = start, total - start - size
            return torch.cat([v.new_zeros(before), v, v.new_zeros(behind)], dim)

        return place

    maps = [placed(sum(sizes[:i]), n) for i, n in enumerate(sizes)]
    tape = spans[0].tape
    return Span(tape, tape.affine([p.position for p in spans], maps, maps))
