"""Reads a ReLU network on a box as a folded one."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array, vstack
from torch import Tensor

from holdfast.certify.linear.fold import Rows
from holdfast.certify.linear.folded import Folded
from holdfast.certify.linear.layers import SAFE, Layer, enclosed
from holdfast.certify.linear.twins import Alike, twins
from holdfast.certify.linear.written import Columns, Value
from holdfast.certify.network.graph import Graph
from holdfast.ops.interval import Box
from holdfast.ops.linear import Lines, relu_lines

MOST = 6000  # neurons of open sign
CLOSE = 0.1  # share of its width by which a neuron may differ from one that stands for it


def folded(graph: Graph, box: Box, c: Tensor, d: Tensor) -> Folded | None:
    """The network on a box, with rows `c z - d` of its outputs z; None where it is too large.

    Args:
        graph: covered.
        box: `(n,)` ends of the inputs.
        c: `(M, K)`.
        d: `(M,)`.
    """
    columns = Columns(graph, box)
    neurons = Neurons(columns, box)
    values = [Value(columns.placed(np.arange(columns.one)), np.zeros(columns.one))]
    for i in range(1, graph.output + 1):
        inputs = [values[p] for p in graph.nodes[i].parents]
        if graph.nodes[i].is_relu:
            values.append(neurons.rectified(inputs[0]))
        else:
            value, safe = columns.affine(graph, i, inputs)
            if not safe or neurons.count > MOST:
                return None
            values.append(value)
    last = columns.total([csr_array(c.numpy())], [values[graph.output]], -d.numpy())
    return neurons.asked(last)


class Neurons:
    """The neurons of open sign so far; the others vanish at once, twins are one.

    Args:
        columns: what values are written in.
        box: `(n,)` ends of the inputs.
    """

    def __init__(self, columns: Columns, box: Box) -> None:
        self.columns, self.box = columns, box
        self.layers: list[Layer] = []
        self.lines: list[Lines] = []
        self.values: list[Value] = []

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(map(len, self.layers))

    def rectified(self, z: Value) -> Value:
        """The value behind a ReLU."""
        columns = self.columns
        alike = self.compared(z, *twins(z.terms[:, : columns.errors]))
        width = alike.ends.high - alike.ends.low
        level = self.level(z)
        far = (alike.open_ & ~level & (alike.apart > CLOSE * width.numpy()[alike.place])).nonzero()[
            0
        ]
        if len(far):
            # Those share all errors but the ones that have just been added.
            first, sign = twins(z.terms[far][:, : columns.fresh])
            alike.first[far], alike.sign[far] = far[first], sign
            alike = self.compared(z, alike.first, alike.sign)
        base, place = alike.base, alike.place
        low, high = (end.numpy() for end in alike.ends)
        on = low >= 0
        # Ends that are no numbers leave a sign open: nothing is proved with them.
        kept = ~on & ~(high <= 0) & ~level[np.unique(alike.first)]
        at = columns.one + 1 + self.count + np.arange(kept.sum())
        columns.middle[at] = columns.half[at] = high[kept] / 2
        if len(at):
            self.add(alike.layer, alike.ends, base, torch.from_numpy(kept))
        unit = csr_array((np.ones(len(at)), (kept.nonzero()[0], at)), shape=base.terms.shape)
        past = Value(csr_array(diags_array(on * 1.0) @ base.terms + unit), base.own * on)
        # Those of open sign are written with the first: relu(-z) = relu(z) - z.
        open_now = alike.open_ & ~level
        halved = alike.open_ & level
        open_, itself = diags_array(open_now * 1.0), diags_array(alike.on + 0.5 * halved)
        turned = diags_array((open_now & (alike.sign < 0)) * 1.0)
        terms = open_ @ past.terms[place] - turned @ base.terms[place] + itself @ z.terms
        own = open_ @ past.own[place] + turned @ base.own[place] + itself @ z.own
        terms = csr_array(terms)
        terms.eliminate_zeros()
        # Where nothing but errors is left, relu(z) = z / 2 + |z| / 2 with |z| <= e.
        rest = halved * columns.size(z) / 4 * SAFE
        terms = terms + columns.placed(np.full(len(rest), columns.one), rest)
        error = alike.apart * open_now + rest * SAFE
        return columns.erring(Value(csr_array(terms), own * SAFE), error)

    def level(self, z: Value) -> np.ndarray:
        """`(m,)`: whether numbers depend on errors alone."""
        terms = csr_array(z.terms[:, : self.columns.errors])
        found: np.ndarray = np.diff(terms.indptr) == 0
        return found

    def compared(self, z: Value, first: np.ndarray, sign: np.ndarray) -> Alike:
        """Bounds of those numbers that stand for others, and how far these lie from them."""
        columns = self.columns
        own, place = np.unique(first, return_inverse=True)
        base = z.at(own)
        layer = self.layer(base)
        box = Box(self.box.low[None], self.box.high[None])
        (low, high), _ = enclosed(self.layers, self.lines, layer, box)
        twin = base.at(place)
        gone = abs(z.terms - diags_array(sign) @ twin.terms)[:, columns.errors :]
        apart = (gone @ columns.half[columns.errors :] + z.own + twin.own) * SAFE
        apart[own] = 0.0
        ends = [end[0].numpy()[place] for end in (low, high)]
        under = np.where(sign > 0, ends[0], -ends[1]) - apart * SAFE
        over = np.where(sign > 0, ends[1], -ends[0]) + apart * SAFE
        on = np.nextafter(under, -np.inf) >= 0
        on[own], off = under[own] >= 0, np.nextafter(over, np.inf) <= 0
        off[own] = (over[own] <= 0) & ~on[own]
        ends_ = Box(low[0], high[0])
        return Alike(first, sign, base, place, layer, ends_, apart, on & ~off, ~(on | off))

    def layer(self, value: Value) -> Layer:
        """Rows of numbers that are written in the neurons so far."""
        columns, start = self.columns, self.columns.one + 1
        rows = torch.from_numpy(value.terms[:, : start + self.count].toarray())
        used = (rows[:, start:] != 0).any(0).nonzero().flatten()
        shared = abs(value.terms[:, columns.errors :]) @ columns.half[columns.errors :]
        error = torch.from_numpy((shared + value.own) * SAFE)
        mass = (rows.abs() @ torch.from_numpy(columns.reach[: start + self.count]) + error) * SAFE
        first = start + (int(used[0]) if len(used) else self.count)
        return Layer(rows, error, mass, Box(-mass, mass), first)

    def add(self, layer: Layer, ends: Box, value: Value, rows: Tensor) -> None:
        """Keep the neurons of open sign."""
        open_ = layer.take(rows)
        known = ends.take(rows)
        self.layers.append(Layer(open_.rows, open_.error, open_.mass, known, open_.first))
        self.lines.append(relu_lines(Box(known.low[None], known.high[None])))
        self.values.append(value.at(rows.numpy()))

    def asked(self, value: Value) -> Folded:
        """The network, with the rows that are asked about."""
        columns, start = self.columns, self.columns.one + 1
        every = [*self.values, value]
        terms = vstack([v.terms for v in every], format="csr")
        rows = torch.from_numpy(terms[:, : start + self.count].toarray())
        shared = terms[:, columns.errors : columns.taken]
        none = torch.zeros(0, dtype=torch.float64)
        low, high = (torch.cat([none, *(layer.known[k] for layer in self.layers)]) for k in (0, 1))
        own = torch.from_numpy(np.concatenate([v.own for v in every]))
        return Rows(rows, shared, own, Box(low, high)).arranged(self.box, columns.sizes)
