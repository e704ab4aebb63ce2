"""Values of a network written out as sums over inputs, neurons and rounding errors, sparse."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array

from holdfast.certify.linear.bounds import ROUNDINGS
from holdfast.certify.linear.layers import SAFE
from holdfast.certify.network.graph import Graph, Node
from holdfast.certify.network.known import Known
from holdfast.certify.network.operators import Dense, Operator
from holdfast.ops.interval import TINY, Box, gamma

MOST = 6000  # numbers of a value whose operator is written out as a matrix
MANY = 1000  # neurons


def large(graph: Graph) -> bool:
    """Whether there are so many neurons that folding costs less than bounding all of them."""
    return sum(prod(node.shape) for node in graph.nodes if node.is_relu) >= MANY


def covered(graph: Graph) -> bool:
    """Whether all its nodes can be written out: affine ones of moderate size, and ReLUs."""
    nodes = graph.nodes
    return any(node.is_relu for node in nodes) and all(
        node.is_input
        or (node.is_relu and not node.extra)
        or (isinstance(node.operator, Operator) and not isinstance(node.operator, Known)
            and (_plain(node) or all(prod(nodes[p].shape) <= MOST for p in node.parents)))
        for node in nodes
    )  # fmt: skip


def _plain(node: Node) -> bool:
    """Whether its matrix is at hand."""
    return isinstance(node.operator, Dense) and len(node.shape) == 1


def matrices(graph: Graph, i: int) -> list[csr_array]:
    """`(out, in)` of an affine node, one for each of its parents."""
    op = graph.nodes[i].operator
    if isinstance(op, Dense) and _plain(graph.nodes[i]):
        return [csr_array(op.weight.numpy())]
    shapes = [graph.nodes[p].shape for p in graph.nodes[i].parents]
    found = []
    for k, shape in enumerate(shapes):
        size = prod(shape)
        xs = [torch.zeros(size, *other, dtype=torch.float64) for other in shapes]
        xs[k] = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
        if isinstance(op, Operator):
            found.append(csr_array(op.linear(xs).flatten(1).T.numpy()))
    return found


class Value(NamedTuple):
    """A value of the network, flat.

    Args:
        terms: `(m, columns)` coefficients of inputs, of one, of neurons, and of shared errors.
        own: `(m,)` further errors, of this arithmetic.
    """

    terms: csr_array
    own: np.ndarray

    def at(self, rows: np.ndarray) -> Value:
        """Some of its numbers."""
        return Value(self.terms[rows], self.own[rows])


class Columns:
    """What values are written in, and between which ends each column lies.

    Args:
        graph: covered.
        box: `(n,)` ends of the inputs.
    """

    def __init__(self, graph: Graph, box: Box) -> None:
        self.one = len(box.low)
        self.errors = self.one + 1 + sum(prod(node.shape) for node in graph.nodes if node.is_relu)
        width = self.errors + sum(prod(node.shape) for node in graph.nodes)
        self.middle, self.half = np.zeros(width), np.zeros(width)
        self.taken = self.fresh = self.errors
        centre = (box.low + box.high) / 2
        self.middle[: self.one] = centre.numpy()
        self.middle[self.one] = 1.0
        self.half[: self.one] = torch.maximum(box.high - centre, centre - box.low).numpy()

    @property
    def reach(self) -> np.ndarray:
        """The largest absolute values."""
        found: np.ndarray = abs(self.middle) + self.half
        return found

    @property
    def sizes(self) -> np.ndarray:
        """Of the shared errors."""
        found: np.ndarray = self.half[self.errors : self.taken]
        return found

    def placed(self, columns: np.ndarray, numbers: np.ndarray | None = None) -> csr_array:
        """`(m, columns)`: rows of one number each."""
        numbers = np.ones(len(columns)) if numbers is None else numbers
        rows = np.arange(len(columns))
        return csr_array((numbers, (rows, columns)), shape=(len(columns), len(self.half)))

    def size(self, value: Value) -> np.ndarray:
        """Numbers above the absolute values."""
        most = abs(value.terms) @ self.reach
        near = abs(value.terms @ self.middle) + abs(value.terms) @ self.half
        found: np.ndarray = (near + 2 * gamma(len(self.half)) * most + value.own) * SAFE
        return found

    def total(self, ws: list[csr_array], values: list[Value], constant: np.ndarray) -> Value:
        """Sums of products with matrices, and what this arithmetic loses."""
        terms = self.placed(np.full(len(constant), self.one), constant)
        own, mass = 0.0 * constant, abs(constant)
        for w, value in zip(ws, values, strict=True):
            terms = terms + w @ value.terms
            mass = mass + abs(w) @ (abs(value.terms) @ self.reach)
            own = own + abs(w) @ value.own
        terms.eliminate_zeros()
        count = sum(w.shape[1] for w in ws) + 8
        slip = TINY * (1 + self.reach.sum())  # what underflow may lose
        return Value(terms, (own + 2 * gamma(count) * mass + slip) * SAFE)

    def erring(self, value: Value, error: np.ndarray) -> Value:
        """A value with an error of each of its numbers, which all that is made of it share."""
        which = error.nonzero()[0]
        columns = self.taken + np.arange(len(which))
        self.half[columns] = error[which]
        self.fresh, self.taken = self.taken, self.taken + len(which)
        rows = csr_array((np.ones(len(which)), (which, columns)), shape=value.terms.shape)
        return Value(value.terms + rows, value.own)

    def affine(self, graph: Graph, i: int, values: list[Value]) -> tuple[Value, bool]:
        """The value of an affine node as the model computes it, and whether it cannot overflow."""
        node, ws = graph.nodes[i], matrices(graph, i)
        op, count = node.operator, prod(node.shape)
        if not isinstance(op, Operator):
            return values[0], False
        bias = np.zeros(count) if op.bias is None else op.bias.expand(node.shape).flatten().numpy()
        found = self.total(ws, values, bias)
        mass = abs(bias) + sum(abs(w) @ self.size(v) for w, v in zip(ws, values, strict=True))
        safe = bool((mass < torch.finfo(node.dtype).max / 4).all())
        if node.unit == 0 or op.exact:
            return found, safe
        # What is multiplied by zero is not rounded, and changes no sum.
        few = np.diff(ws[0].indptr) if _plain(node) else np.full(count, op.terms)
        more = ROUNDINGS + node.extra
        share = np.array([gamma(t + more, node.unit) for t in range(int(few.max()) + 1)])
        lost = (op.terms + more) * torch.finfo(node.dtype).tiny
        error = (share[few] * mass + lost) * SAFE
        return self.erring(found, error), safe and bool(np.isfinite(error).all())
