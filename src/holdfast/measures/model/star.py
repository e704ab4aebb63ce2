"""Whether the inputs on which a model is sure form one wide region around a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.measures.model.level_set import confidence

_TINY = 1e-30


@dataclass(frozen=True, eq=False)
class Star:
    """Confidence on the triangle between a source and two ends of walks.

    Args:
        mean: `(B,)` over the triangle.
        kept: `(4, B)` share of the triangle whose confidence is above the source's less 0, 0.1,
            0.2 and 0.3.
        edge_mean: `(2, B)` along the edges from the source.
        edge_least: `(2, B)` the least along these edges.
    """

    mean: Tensor
    kept: Tensor
    edge_mean: Tensor
    edge_least: Tensor


def star(
    model: Model, source: Tensor, a: Tensor, b: Tensor, label: Tensor, *, grid: int = 10
) -> Star:
    """Looks at a triangle inside the inputs: star-like level sets keep their confidence on it.

    Args:
        model: inputs -> logits first.
        source: `(B, ...)` the first corner.
        a: `(B, ...)` the second corner.
        b: `(B, ...)` the third corner.
        label: `(B,)` whose confidence is looked at.
        grid: points per edge, less one.

    Cost: `(grid + 1)(grid + 2) / 2` forward passes.
    """
    found, edges = [], ([], [])  # type: ignore[var-annotated]
    with quiet(model), torch.no_grad():
        for i in range(grid + 1):
            for j in range(grid + 1 - i):
                point = source + i / grid * (a - source) + j / grid * (b - source)
                found.append(confidence(model, point, label))
                if j == 0:
                    edges[0].append(found[-1])
                if i == 0:
                    edges[1].append(found[-1])
    every, first = torch.stack(found), found[0]
    kept = torch.stack([(every > first - d).double().mean(0) for d in (0.0, 0.1, 0.2, 0.3)])
    lines = [torch.stack(edge) for edge in edges]
    return Star(
        every.mean(0),
        kept,
        torch.stack([e.mean(0) for e in lines]),
        torch.stack([e.amin(0) for e in lines]),
    )


def level_set_width(
    model: Model,
    x: Tensor,
    along: Tensor,
    label: Tensor,
    distances: Sequence[float] = (5.0, 10.0, 15.0, 20.0, 25.0, 30.0),
    *,
    directions: int = 256,
    low: float = 0.0,
    high: float = 1.0,
    dice: Dice,
) -> Tensor:
    """`(D, 2, B)`: 5 % and 95 % quantiles of the confidence at each distance from a walk.

    Args:
        model: inputs -> logits first.
        x: `(B, ...)` points of a walk.
        along: `(B, ...)` the direction of the walk there; draws are orthogonal to it.
        label: `(B,)` whose confidence is looked at.
        distances: Euclidean, in the unit of the inputs.
        directions: draws per row.
        low: least valid input value.
        high: largest valid input value.
        dice: keyed draws of the rows.

    Cost: `directions` forward passes per distance.
    """
    way = along.flatten(1)
    way = way / way.norm(dim=1, keepdim=True).clamp(min=_TINY)
    seen: list[list[Tensor]] = [[] for _ in distances]
    with quiet(model), torch.no_grad():
        for _ in range(directions):
            draw = dice.normal(x.shape[1:], device=x.device, dtype=x.dtype).flatten(1)
            draw = draw - (draw * way).sum(1, keepdim=True) * way
            draw = (draw / draw.norm(dim=1, keepdim=True).clamp(min=_TINY)).reshape(x.shape)
            for k, distance in enumerate(distances):
                point = (x + distance * draw).clamp(low, high)
                seen[k].append(confidence(model, point, label))
    ends = torch.tensor([0.05, 0.95], dtype=torch.float64)
    return torch.stack([torch.stack(s).quantile(ends.to(s[0].device), dim=0) for s in seen])
