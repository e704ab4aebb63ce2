"""What a search over signs tells a checker: the tree of splits and what refutes its nodes."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from holdfast.certify.linear.backward import backward, evaluated
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.network.graph import Graph
from holdfast.certify.properties.proofs import Proof
from holdfast.certify.search.signs import Signed
from holdfast.certify.search.splits import Splits
from holdfast.certify.search.unsafe import Unsafe
from holdfast.ops.interval import Box


class Tree:
    """Fills in a proof while a search runs.

    Args:
        graph: the network.
        unsafe: the alternatives.
        box: of inputs, one row.
    """

    def __init__(self, graph: Graph, unsafe: Unsafe, box: Box) -> None:
        self.graph, self.unsafe, self.box = graph, unsafe, box
        self.relus = [(i, n.parents[0]) for i, n in enumerate(graph.nodes) if n.is_relu]
        self.proof = Proof(len(self.relus))
        self.held = 0  # the bound set of the tree that is searched

    def based(self, chosen: dict[int, dict[int, Tensor]]) -> int:
        """The root of a new tree over the box, at which the bounds of the whole are held."""
        layers = {p: k for k, (_, p) in enumerate(self.relus)}
        order = {i: k for k, (i, _) in enumerate(self.relus)}
        slopes = {layers[p]: {order[i]: v[0] for i, v in own.items() if i in order}
                  for p, own in chosen.items() if p in layers}  # fmt: skip
        root = self.proof.root(self.box.low, self.box.high)
        self.held = self.proof.bounds(root, slopes=slopes)
        return root

    def at_root(self, which: Tensor, bounds: Bounds, chosen: dict[int, dict[int, Tensor]]) -> None:
        """Record alternatives `(J,)` that the bounds of the whole box refute."""
        if not bool(which.any()):
            return
        root = self.based(chosen)
        line = backward(bounds, self.graph.output, self.unsafe.c[None])
        value = (evaluated(bounds, line) - self.unsafe.d)[0]
        for j in which.nonzero().flatten().tolist():
            rows = value[self.unsafe.rows(j)]
            one = torch.zeros_like(rows)
            one[int(rows.argmax())] = 1.0
            self.proof.refute(root, j, self.held, multipliers=one)

    def split(self, nodes: Tensor, index: Tensor) -> Tensor:
        """The nodes of both halves of some parts, first all in which the neuron is not positive."""
        pairs = [self.proof.split_relu(int(n), *self._place(int(k)))
                 for n, k in zip(nodes, index, strict=True)]  # fmt: skip
        return torch.tensor(pairs).T.flatten()

    def refuted(self, signed: Signed, parts: Splits, fresh: Tensor) -> None:
        """Record alternatives `(N, J)` that are refuted at parts."""
        for k, j in fresh.nonzero().tolist():
            betas: dict[tuple[int, int], float] = {}
            for layer, (_, p) in enumerate(self.relus):
                beta = (parts.betas[p][k, j] * parts.signs[p][k].abs()).flatten()
                betas |= {(layer, int(e)): float(beta[e]) for e in beta.nonzero().flatten()}
            slopes = {n: parts.slopes[i][k, j].flatten() for n, (i, _) in enumerate(self.relus)}
            share = signed.mixtures.share(torch.tensor([j]), parts.mix[k, j][None, None])
            self.proof.refute(
                int(parts.node[k]), j, self.held, slopes=slopes, betas=betas,
                multipliers=share[0, 0, : len(self.unsafe.rows(j))],
            )  # fmt: skip

    def _place(self, index: int) -> tuple[int, int]:
        """Which ReLU, and which entry of it, a neuron is that is counted over all ReLUs."""
        for layer, (i, _) in enumerate(self.relus):
            size = prod(self.graph.nodes[i].shape)
            if index < size:
                return layer, index
            index -= size
        raise IndexError(index)
