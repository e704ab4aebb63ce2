"""A ReLU network on a box, folded: of its neurons only those of open sign are left.

A neuron whose sign is known on a box is affine there, or zero, and vanishes into the rows of those
behind it; one that no output feels any more is left out. What stays are few neurons, each an affine
function of the inputs and of those before it: `z = rows . (x, 1, r) + e` with `r = max(z, 0)`. The
number e is what the model's own rounding, and that of the folding, may have changed: |e| <= error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from holdfast.certify.linear.layers import Layer, enclosed, lower
from holdfast.ops.interval import Box, intersect
from holdfast.ops.linear import Lines, relu_lines


class Errors(NamedTuple):
    """Where the errors of rows come from.

    Rows that share a rounding error have it as a column each, so that it cancels where they are
    added up as it does in the model.

    Args:
        shared: `(K + M, S)` coefficients of the shared errors, sparse.
        own: `(K + M,)` errors that nobody shares.
        sizes: `(S,)` of the shared errors.
    """

    shared: csr_array
    own: Tensor
    sizes: np.ndarray


class Seen(NamedTuple):
    """Bounds of a folded network on boxes.

    Args:
        neurons: `(B, K)` ends of the neurons.
        value: `(B, M)` numbers below what is asked.
        error: `(B, M)` what they have lost to the model's own rounding.
        slope: `(B, M, n)` of the linear functions that the numbers come from.
        shares: `(B, K, n)` how much each input contributes to the width of a neuron.
        lost: `(B, M, K)` what the numbers lose at each neuron.
    """

    neurons: Box
    value: Tensor
    error: Tensor
    slope: Tensor
    shares: Tensor
    lost: Tensor


@dataclass(frozen=True, eq=False)
class Folded:
    """The network.

    Args:
        box: `(n,)` ends of the inputs for which it holds.
        layers: neurons in order of evaluation.
        asked: rows that are asked about, as a last layer.
        errors: of all rows, those asked about last.
    """

    box: Box
    layers: tuple[Layer, ...]
    asked: Layer
    errors: Errors

    @property
    def count(self) -> int:
        """How many neurons are left."""
        return sum(map(len, self.layers))

    @property
    def known(self) -> Box:
        """`(1, K)` ends of its neurons on the whole box."""
        none = torch.zeros(0, dtype=torch.float64)
        low, high = (torch.cat([none, *(p.known[k] for p in self.layers)])[None] for k in (0, 1))
        return Box(low, high)

    def __call__(self, x: Tensor) -> Tensor:
        """`(B, M)`: what is asked, at inputs `(B, ...)`, without errors."""
        v = torch.cat([x.flatten(1).double(), x.new_ones(len(x), 1).double()], 1)
        for layer in self.layers:
            v = torch.cat([v, torch.relu(v @ layer.rows.T)], 1)
        return v @ self.asked.rows.T

    def bounded(self, box: Box, known: Box | None = None) -> Seen:
        """Bounds of all neurons and of what is asked.

        Args:
            box: `(B, n)` within its own.
            known: `(B, K)` ends of the neurons there, if any are.
        """
        lines: list[Lines] = []
        found: list[Box] = []
        shares = []
        n = box.low.shape[1] + 1
        for p, layer in enumerate(self.layers):
            ends, slope = enclosed(self.layers[:p], lines, layer, box)
            if known is not None:
                at = layer.width - n
                own = slice(at, at + len(layer))
                ends = intersect(Box(known.low[:, own], known.high[:, own]), ends)
            found.append(ends)
            lines.append(relu_lines(ends))
            shares.append(slope)
        count = len(box.low)
        coefficients: list[Tensor] = []
        value, slope, error = lower(self.layers, lines, self.asked, box, coefficients)
        none = value.new_zeros(count, 0)
        gaps = [
            h + (above - below) * (b.low + b.high) / 2
            for b, (below, above, h) in zip(found, lines, strict=True)
        ]
        neurons = Box(*(torch.cat([none, *(b[k] for b in found)], 1) for k in (0, 1)))
        empty = value.new_zeros(count, 0, box.low.shape[1])
        width = (box.high - box.low)[:, None]
        lost = torch.cat([value.new_zeros(count, value.shape[1], 0), *reversed(coefficients)], 2)
        gap = torch.cat([none, *gaps], 1)
        return Seen(
            neurons, value, error, slope, torch.cat([empty, *shares], 1) * width,
            (lost * gap[:, None]).abs(),
        )  # fmt: skip
