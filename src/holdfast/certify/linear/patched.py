"""Coefficients of values at places of images, in columns, each on the window that its place sees.

What `carry.py` does for whole images is done here for windows (`windows.py`), in the type of the
bounds, float32 or float64. Places and the questions about them stand last in memory, the larger
number of both behind: what a bend multiplies comes once for each place and meets all its
questions. Nothing is rounded outward: `reference.py` says what a coefficient costs, for sums in
any order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor

from holdfast.certify.linear.patches import Around, Corner
from holdfast.certify.network.bends import Bend
from holdfast.certify.network.framed import Framed
from holdfast.certify.network.operators import Scale
from holdfast.certify.network.rearrange import Total
from holdfast.ops.interval import gamma


def lower(
    around: Around, rows: Tensor, place: Tensor, at: Tensor, own: Tensor
) -> tuple[Tensor, Tensor]:
    """`(N, m)`: numbers below `own (value - reference)`, and above: those of `rough.lower`.

    Args:
        around: what is known around all places.
        rows: `(N,)` which rows are meant.
        place: `(N,)` places, counted over the flattened image.
        at: `(N, m)` channels.
        own: `(N, m)` a factor for each question.
    """
    if many := len(rows) >= at.shape[1]:
        at, own = at.T, own.T
    width, axis = around.patches.view.places[1], -2 if many else -1
    where = place // width, place % width, rows
    lost = around.bounds.lost[rows].unsqueeze(axis).expand(at.shape)
    way = Way(around, where, axis, lost, torch.zeros_like(lost))
    way.start(at, own)
    shapes = [node.shape for node in around.patches.view.graph.nodes]
    for k in range(len(shapes) - 1, -1, -1):
        way.through(k)
    phases = max((len(op.matrices) for op in around.patches.columns.values()), default=0)
    terms = 2 * len(shapes) + phases + max(h + w * c for h, w, c in shapes)
    share = 1 + 2 * gamma(terms + 8, torch.finfo(way.dtype).eps / 2)
    more = way.found + way.more if around.bounds.gaps else torch.full_like(way.found, torch.inf)
    below, above = -way.found * share, more * share
    return (below.T, above.T) if many else (below, above)


@dataclass
class Way:
    """Coefficients `(H, C, W, P, Q)` on their way back: of places and questions, or the reverse.

    Args:
        around: what is known.
        where: the places in question.
        axis: where the questions stand.
        found: `(P, Q)` what all coefficients cost.
        more: `(P, Q)` by how much more they may raise a value.
        waiting: what has arrived at each value: coefficients, where they lie in its window, and
            whether they may be written to.
        placed: by position, zeros in the midst of which its coefficients lie.
    """

    around: Around
    where: tuple[Tensor, Tensor, Tensor]
    axis: int
    found: Tensor
    more: Tensor
    waiting: dict[int, list[tuple[Tensor, Corner, bool]]] = field(default_factory=dict)
    placed: dict[int, Tensor] = field(default_factory=dict)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the coefficients."""
        return next(iter(self.around.costs.values())).dtype

    def start(self, at: Tensor, own: Tensor) -> None:
        """One coefficient `own` for each question, at its channel."""
        nodes = self.around.patches.view.graph.nodes
        one = torch.zeros(nodes[-1].shape[-1], *at.shape, dtype=self.dtype)
        one = one.scatter_(0, at[None], own.to(self.dtype)[None])
        self.waiting[len(nodes) - 1] = [(one[None, :, None], (0, 0), False)]

    def through(self, k: int) -> None:
        """Hand coefficients of a node to its parents, and count what they cost."""
        if k not in self.waiting:
            return
        around, placed = self.around, self.placed.pop(k, None)
        op, a = around.patches.view.graph.nodes[k].operator, self._arrived(k)
        if isinstance(op, Bend):
            self._bend(k, a)
            return
        if k in around.costs:
            self.found = self.found + _sum(a.abs().mul_(self._here(k, around.costs[k])[0]))
        if k in around.patches.columns:
            if placed is None:
                placed, room = self._room(k, a)
                room.copy_(a)
            self._convolution(k, placed, a.shape[-2:])
        elif isinstance(op, Framed):
            whole = op.operator
            factors = whole.factors if isinstance(whole, Total) else (_factor(whole),)
            for n, factor in enumerate(factors):
                same = isinstance(factor, float | int) and factor == 1
                self._give(k, n, a if same else factor * a, not same)

    def _here(self, k: int, *images: Tensor) -> list[Tensor]:
        """What is known around a value, for the places in question."""
        index = self.around.patches.index(k, len(self.around.bounds.lost), self.where)
        shape, flat = index.unsqueeze(self.axis).shape, index.flatten()
        return [image.index_select(0, flat).view(shape) for image in images]

    def _room(self, p: int, a: Tensor) -> tuple[Tensor, Tensor]:
        """Zeros, and the part within for the coefficients on the output of a convolution."""
        columns, n = self.around.patches.columns[p], prod(a.shape[-2:])
        rooms, height, width = self.around.rooms, *columns.places
        if p not in rooms or rooms[p].shape[-1] != n:
            rooms[p], _ = columns.place(a, n)
        inner = rooms[p][columns.above :][:height, :, columns.left :][:, :, :width]
        return rooms[p], inner.unflatten(-1, a.shape[-2:])

    def _arrived(self, k: int) -> Tensor:
        """All that has arrived at a value, added up."""
        parts = self.waiting.pop(k)
        height, width, _ = self.around.patches.view.graph.nodes[k].shape
        full = [a.shape[::2][:2] == (height, width) for a, _, _ in parts]
        if full == [True]:
            return parts[0][0]
        own = next((i for i, (_, _, mine) in enumerate(parts) if mine and full[i]), None)
        if own is None:
            like = parts[0][0]
            found = like.new_zeros(height, like.shape[1], width, *like.shape[-2:])
        else:
            found = parts.pop(own)[0]
        for a, (top, left), _ in parts:
            found[top:][: a.shape[0], :, left:][:, :, : a.shape[2]] += a
        return found

    def _give(self, k: int, n: int, part: Tensor, own: bool) -> None:
        """Coefficients for the n-th parent of a node."""
        patches = self.around.patches
        p = patches.view.graph.nodes[k].parents[n]
        self.waiting.setdefault(p, []).append((part, patches.corners[k][n], own))

    def _bend(self, k: int, a: Tensor) -> None:
        """The coefficients behind a bend, written where the next operator wants them."""
        around = self.around
        graph, size = around.patches.view.graph, a.abs()
        kinds = [kind[k] for kind in (around.costs, around.gaps) if k in kind]
        mean, tilt, *some = self._here(k, *around.middles[k], *kinds)
        (p,) = graph.nodes[k].parents
        if p in around.patches.columns and graph.uses[p] == 1:
            self.placed[p], inner = self._room(p, a)
            part = torch.mul(a, mean, out=inner)
        else:
            part = a * mean
        self._give(k, 0, part.addcmul_(size, tilt), True)
        if k in around.gaps:
            self.more = self.more + _sum(size * some.pop())
        if some:
            self.found = self.found + _sum(size.mul_(some.pop()))

    def _convolution(self, k: int, placed: Tensor, ends: torch.Size) -> None:
        around, columns = self.around, self.around.patches.columns[k]
        graph = around.patches.view.graph
        (p,) = graph.nodes[k].parents
        alone = graph.uses[p] == 1 and graph.nodes[p].shape[:2] == columns.size
        if p or not alone or p not in around.costs:
            self._give(k, 0, columns.back(placed).unflatten(-1, ends), True)
            return
        (cost,), (high, wide) = self._here(p, around.costs[p]), columns.stride
        for row, some, part in columns.parts(placed):  # the input: nothing is left but to add up
            own = cost[row.first :: high, :, some.first :: wide][: row.number, :, : some.number]
            self.found = self.found + _sum(part.unflatten(-1, ends).abs_().mul_(own))


def _factor(op: object) -> Tensor | float:
    """What a scale multiplies channels by."""
    if not isinstance(op, Scale):
        return 1.0
    return op.factor.reshape(-1, 1, 1, 1) if op.factor.numel() > 1 else op.factor


def _sum(size: Tensor) -> Tensor:
    """`(P, Q)` float64: sums of positive numbers, a row of places at a time."""
    return size.flatten(1, 2).sum(1).double().sum(0)
