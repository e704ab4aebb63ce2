"""Pairs of a part and an alternative, side by side, and the linear functions that bound them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.certify.linear.backward import backward, evaluated
from holdfast.certify.linear.coefficients import Bounds, Linear
from holdfast.certify.network.bends import Planes
from holdfast.certify.search.unsafe import Unsafe
from holdfast.ops.interval import UNIT


class Mixtures:
    """Mixtures of the rows of each alternative; those with fewer rows are filled up.

    Args:
        unsafe: the alternatives.
    """

    def __init__(self, unsafe: Unsafe) -> None:
        self.most = int(torch.bincount(unsafe.owner).max())
        self.c = torch.zeros(unsafe.count, self.most, unsafe.c.shape[1], dtype=torch.float64)
        self.d = torch.zeros(unsafe.count, self.most, dtype=torch.float64)
        self.none = torch.ones(unsafe.count, self.most, dtype=torch.bool)
        for j in range(unsafe.count):
            rows = unsafe.rows(j)
            self.c[j, : len(rows)], self.d[j, : len(rows)] = unsafe.c[rows], unsafe.d[rows]
            self.none[j, : len(rows)] = False

    def share(self, which: Tensor, mix: Tensor) -> Tensor:
        """`(Q, 1, R)`: the mixtures, 0 where an alternative has no such row."""
        return mix.masked_fill(self.none[which][:, None], -torch.inf).softmax(2)


def around(bounds: Bounds, relus: dict[int, int], slopes: dict[int, Tensor]) -> dict[int, Planes]:
    """Planes around each bend, with given slopes `(B, m, *shape)` below open ReLUs."""
    planes = dict(bounds.planes)
    for i, p in relus.items():
        box, fixed = bounds.boxes[p], planes[i]
        open_ = ((box.low < 0) & (box.high > 0))[:, None]
        planes[i] = fixed._replace(below=(torch.where(open_, slopes[i], fixed.below[0][:, None]),))
    return planes


def margins(bounds: Bounds, unsafe: Unsafe) -> Tensor:
    """`(1, J)`: numbers below the margin of each alternative, with the planes of the bounds."""
    line = backward(bounds, bounds.graph.output, unsafe.c[None])
    found = evaluated(bounds, line) - unsafe.d
    found = found - 1e-15 * (found.abs() + 2 * unsafe.d.abs())
    return unsafe.best(found.nan_to_num(-torch.inf, -torch.inf, -torch.inf))


@dataclass(frozen=True, eq=False)
class Pairs:
    """What the bounds of Q pairs are made of; whatever is chosen, the bounds hold.

    Args:
        bounds: what is known of the part of each.
        mixtures: of the rows of the alternatives.
        relus: by position of a ReLU, that of the value before it.
        which: `(Q,)` the alternative of each.
        signs: by position of the value, `(Q, 1, *shape)`.
        slopes: by position of the ReLU, likewise: of its line below, in [0, 1].
        betas: by position of the value, likewise: multipliers of the signs, not negative.
        mix: `(Q, 1, R)` logits of the mixture of rows.
        slack: `(Q, 1)` what rounding may take, about.
    """

    bounds: Bounds
    mixtures: Mixtures
    relus: dict[int, int]
    which: Tensor
    signs: dict[int, Tensor]
    slopes: dict[int, Tensor]
    betas: dict[int, Tensor]
    mix: Tensor
    slack: Tensor

    def line(self, seen: dict[int, Tensor] | None = None) -> tuple[Linear, Tensor]:
        """The linear function below the mixture of rows of each, and its right-hand side.

        Where a sign is known, `-sign * beta * value` is added: it is nowhere positive there.
        """
        planes = around(self.bounds, self.relus, self.slopes)
        push = {p: -self.signs[p] * self.betas[p] for p in self.betas}
        share = self.mixtures.share(self.which, self.mix)
        c = share @ self.mixtures.c[self.which]
        d = (share @ self.mixtures.d[self.which][:, :, None])[:, :, 0]
        graph = self.bounds.graph
        c = c.reshape(len(c), 1, *graph.nodes[graph.output].shape)
        return backward(self.bounds, graph.output, c, planes=planes, push=push, seen=seen), d

    def below(self, line: Linear, d: Tensor) -> Tensor:
        """`(Q, 1)`: numbers below the margins, from what `line` gave."""
        found = evaluated(self.bounds, line) - d
        return found - 4 * UNIT * (found.detach().abs() + 2 * d.detach().abs())
