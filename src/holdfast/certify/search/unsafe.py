"""The outputs that must not be reached, as rows of coefficients, and the search for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.certify.network.graph import Graph
from holdfast.ops.batch import chunks
from holdfast.ops.interval import Box

NUMBERS = 2**21  # values of all nodes held at once when inputs are tried
Disjuncts = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Unsafe:
    """A union of alternatives, each a conjunction of rows `c z <= d`.

    An alternative is refuted where one row, or a mixture of its rows, is positive everywhere.

    Args:
        c: `(M, K)` rows of all alternatives, one after the other.
        d: `(M,)`.
        owner: `(M,)` the alternative that each row belongs to.
        count: how many alternatives.
    """

    c: Tensor
    d: Tensor
    owner: Tensor
    count: int

    @staticmethod
    def of(disjuncts: Disjuncts) -> Unsafe:
        """From pairs `(C (m, K), d (m,))`."""
        sizes = torch.tensor([len(d) for _, d in disjuncts])
        return Unsafe(
            torch.cat([c.double() for c, _ in disjuncts]),
            torch.cat([d.double() for _, d in disjuncts]),
            torch.arange(len(disjuncts)).repeat_interleave(sizes),
            len(disjuncts),
        )

    def best(self, values: Tensor) -> Tensor:
        """`(B, J)`: the largest of the values `(B, M)` of the rows of each alternative."""
        start = torch.full((len(values), self.count), -torch.inf, dtype=values.dtype)
        owner = self.owner.expand(len(values), -1)
        return start.scatter_reduce(1, owner, values, "amax")

    def rows(self, alternative: int) -> Tensor:
        """Positions of the rows of an alternative."""
        return (self.owner == alternative).nonzero().flatten()

    def margin(self, z: Tensor) -> Tensor:
        """`(B, J)`: largest violation of each alternative; not positive where it is reached."""
        return self.best(z @ self.c.T - self.d)

    def reached(self, z: Tensor) -> Tensor:
        """`(B,)` bool: outputs that satisfy an alternative."""
        return z.isfinite().all(1) & (self.margin(z) <= 0).any(1)


class Probe(NamedTuple):
    """What trying inputs gave.

    Args:
        witness: an input that reaches the unsafe set, or None.
        margins: `(B, J)`.
    """

    witness: Tensor | None
    margins: Tensor


@torch.no_grad()
def probe(graph: Graph, unsafe: Unsafe, x: Tensor) -> Probe:
    """Evaluate the network at inputs `(B, ...)` and look whether one is a counterexample."""
    z = graph(x)
    hit = unsafe.reached(z).nonzero()
    return Probe(x[int(hit[0])] if len(hit) else None, unsafe.margin(z))


def descend(
    graph: Graph,
    unsafe: Unsafe,
    low: Tensor,
    high: Tensor,
    *,
    samples: int = 2**17,
    starts: int = 8,
    steps: int = 40,
    seed: int = 0,
) -> Tensor | None:
    """Search a box for a counterexample: random inputs, then steps from the best of them.

    Args:
        graph: the network.
        unsafe: what to reach.
        low: lower ends of one input.
        high: upper ends.
        samples: random points, fewer where the network is large; the centre is one of them.
        starts: points per alternative from which to step.
        steps: of each; their length falls from a quarter of the box to nothing.
        seed: of the random points.
    """
    g = torch.Generator().manual_seed(seed)
    part = max(starts, NUMBERS // sum(prod(n.shape) for n in graph.nodes))
    best = torch.empty(0, *low.shape, dtype=torch.float64)
    for rows in chunks(min(samples, 16 * part), part):
        share = torch.rand(rows.stop - rows.start, *low.shape, generator=g, dtype=torch.float64)
        share[0] = 0.5
        x = low + share * (high - low)
        tried = probe(graph, unsafe, x)
        if tried.witness is not None:
            return tried.witness
        few = tried.margins.topk(min(starts, len(x)), dim=0, largest=False).indices
        best = torch.cat([best, x[few.flatten()]])
    margin = probe(graph, unsafe, best).margins
    few = margin.topk(min(starts, len(best)), dim=0, largest=False).indices
    target = torch.arange(unsafe.count).expand(len(few), -1).flatten()
    return follow(graph, unsafe, best[few.flatten()], Box(low, high), target, steps)


def follow(
    graph: Graph, unsafe: Unsafe, x: Tensor, box: Box, target: Tensor, steps: int
) -> Tensor | None:
    """Signed gradient steps down the margins of the alternatives `target`, each within its box.

    Args:
        graph: the network.
        unsafe: what to reach.
        x: `(B, ...)` where to start.
        box: broadcast against them.
        target: `(B,)`.
        steps: how many.
    """
    other = unsafe.owner != target[:, None]
    for step in range(steps + 1):
        x = x.detach().requires_grad_(True)
        with torch.enable_grad():
            z = graph(x)
            values = (z @ unsafe.c.T - unsafe.d).masked_fill(other, -torch.inf)
            (slope,) = torch.autograd.grad(values.amax(1).sum(), x)
        hit = unsafe.reached(z.detach()).nonzero()
        if len(hit):
            return x.detach()[int(hit[0])]
        pace = (box.high - box.low) / 4 * (1 - step / (steps + 1))
        x = torch.clamp(x.detach() - pace * slope.sign(), box.low, box.high)
    return None
