"""Folds a network on a box: neurons of known sign vanish into the rows of those behind them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array, vstack
from torch import Tensor

from holdfast.certify.linear.folded import Errors, Folded
from holdfast.certify.linear.layers import SAFE, Layer
from holdfast.ops.interval import TINY, Box, gamma


class Rows(NamedTuple):
    """Neurons in order of evaluation, and behind them what is asked.

    Args:
        rows: `(K + M, n + 1 + K)` coefficients of n inputs, of one, and of the neurons.
        shared: `(K + M, S)` coefficients of the shared errors.
        own: `(K + M,)` errors that nobody shares.
        known: `(K,)` ends of the neurons.
    """

    rows: Tensor
    shared: csr_array
    own: Tensor
    known: Box

    def arranged(self, box: Box, sizes: np.ndarray) -> Folded:
        """Without the neurons that no answer depends on, the others in layers.

        Args:
            box: `(n,)` ends of the inputs.
            sizes: `(S,)` of the shared errors.
        """
        k, n = len(self.known.low), len(box.low) + 1
        used = self.rows[:, n:] != 0
        felt = fresh = used[k:].any(0)
        while bool(fresh.any()):
            fresh = used[:k][fresh].any(0) & ~felt
            felt = felt | fresh
        kept = felt.nonzero().flatten()
        level = _levels(used[kept][:, kept])
        order = kept[level.argsort(stable=True)]
        every = torch.cat([order, torch.arange(k, len(self.rows))])
        columns = torch.cat([torch.arange(n), n + order])
        part = Rows(
            self.rows[every][:, columns], self.shared[every.numpy()], self.own[every],
            self.known.take(order),
        )  # fmt: skip
        return part.layered(box, sizes, level.bincount().tolist())

    def layered(self, box: Box, sizes: np.ndarray, counts: list[int]) -> Folded:
        """The same, so many neurons in each layer."""
        n, start, k = len(box.low) + 1, 0, len(self.known.low)
        one = torch.ones(1, dtype=torch.float64)
        reach = torch.cat([box.magnitude, one, self.known.high.clamp(min=0)])
        error = (torch.from_numpy(abs(self.shared) @ sizes) + self.own) * SAFE
        mass = (self.rows.abs() @ reach + error) * SAFE
        layers = []
        for count in (*counts, len(self.rows) - k):
            at = slice(start, start + count)
            rows = self.rows[at, : n + start].contiguous()
            used = (rows[:, n:] != 0).any(0).nonzero().flatten()
            first = n + (int(used[0]) if len(used) else start)
            known = Box(-mass[at], mass[at])
            if start < k:
                low, high = self.known.take(at)
                known = Box(torch.maximum(low, known.low), torch.minimum(high, known.high))
            layers.append(Layer(rows, error[at], mass[at], known, first))
            start += count
        return Folded(box, tuple(layers[:-1]), layers[-1], Errors(self.shared, self.own, sizes))


def _levels(used: Tensor) -> Tensor:
    """`(K,)`: the length of the longest chain of neurons before each."""
    level = torch.zeros(len(used), dtype=torch.long)
    while len(used):
        longer = (used * (level + 1)).amax(1)
        if torch.equal(longer, level):
            break
        level = longer
    return level


class Written(NamedTuple):
    """Values written in the columns that are left.

    Args:
        rows: `(m, w)` coefficients of inputs, of one, and of neurons that are left.
        shared: `(m, S)` of shared errors.
        own: `(m,)` errors that nobody shares.
        mass: `(m,)` sums of absolute terms, errors included.
    """

    rows: Tensor
    shared: csr_array
    own: Tensor
    mass: Tensor

    def plus(self, gone: Tensor, through: Written) -> Written:
        """These values, with those of other coefficients `(m, g)` written out and added."""
        mass = (self.mass + gone.abs() @ through.mass) * SAFE
        return Written(
            self.rows + gone @ through.rows,
            self.shared + csr_array(gone.numpy()) @ through.shared,
            (self.own + gone.abs() @ through.own) * SAFE + 2 * gamma(gone.shape[1] + 8) * mass,
            mass,
        )

    def take(self, rows: Tensor) -> Written:
        return Written(self.rows[rows], self.shared[rows.numpy()], self.own[rows], self.mass[rows])

    @staticmethod
    def join(parts: list[Written]) -> Written:
        shared = vstack([p.shared for p in parts], format="csr")
        rows, own, mass = (
            torch.cat(v) for v in zip(*((p.rows, p.own, p.mass) for p in parts), strict=True)
        )
        return Written(rows, shared, own, mass)


def narrowed(folded: Folded, box: Box, known: Box) -> Folded:
    """The network on a smaller box.

    Args:
        folded: the network.
        box: `(n,)` ends of the inputs.
        known: `(K,)` ends of its neurons on all of it that bounds are asked for.
    """
    n, start, (shared, own, sizes) = len(box.low) + 1, 0, folded.errors
    on = known.low >= 0
    open_ = ~on & ~(known.high <= 0)  # so are ends that are no numbers
    reach = torch.cat([box.magnitude, torch.ones(1).double(), known.high[open_]])
    slip = TINY * (1 + reach.sum() + float(sizes.sum()))  # what underflow may lose
    left: list[Written] = []
    through: list[Written] = []
    for layer in (*folded.layers, folded.asked):
        stop = start + len(layer)
        last = layer is folded.asked
        at = torch.arange(start, stop)
        at = at if last else at[(on | open_)[start:stop]]
        rows = layer.rows[at - start]
        fresh = rows.new_zeros(len(at), len(reach))
        fresh[:, :n] = rows[:, :n]
        fresh[:, n : n + int(open_[:start].sum())] = rows[:, n:][:, open_[:start]]
        lost = own[at] + slip
        error = torch.from_numpy(abs(shared[at.numpy()]) @ sizes) + lost
        new = Written(fresh, shared[at.numpy()], lost, fresh.abs() @ reach + error)
        if through:
            through = [Written.join(through)]
            new = new.plus(rows[:, n:][:, on[:start]], through[0])
        left.append(new if last else new.take(open_[at]))
        if not last:
            through.append(new.take(on[at]))
        start = stop
    every = Written.join(left)
    found = Rows(every.rows, every.shared, every.own, known.take(open_))
    return found.arranged(box, sizes)
