"""Inputs that were tried, and how near they came to an unsafe set."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.certify.linear.minima import Minima
from holdfast.certify.linear.region import Region
from holdfast.certify.search.unsafe import Unsafe

TAKEN = 10  # candidates of a batch that are worth a replay
Network = Callable[[Tensor], Tensor]


class Tried(NamedTuple):
    """Inputs, and how far each is from each alternative.

    Args:
        x: `(B, ...)`.
        margins: `(B, J)`; not positive where an alternative is reached.
    """

    x: Tensor
    margins: Tensor

    @property
    def witnesses(self) -> Tensor:
        """`(W, ...)`: inputs that reach an alternative, the deepest first, at most ten."""
        least = self.margins.amin(1)
        order = least.argsort()[:TAKEN]
        return self.x[order[least[order] <= 0]]

    @property
    def witness(self) -> Tensor | None:
        """The deepest, if there is one."""
        found = self.witnesses
        return found[0] if len(found) else None

    def nearest(self, count: int) -> tuple[Tensor, Tensor]:
        """Rows of the best inputs of every alternative, `count` in all, and which each is of."""
        among = self.margins.shape[1]
        margins, rows = self.margins.topk(
            min(max(1, count // among), len(self.x)), dim=0, largest=False
        )
        order = margins.flatten().argsort(stable=True)[:count]
        return rows.flatten()[order], order % among


def lowest(region: Region, a: Tensor) -> Tensor:
    """`(N, ...)`: points of a region of one row where `a . x` is least, on a ball about so."""
    low, high = region.box
    if region.radius is None:
        return torch.where(a > 0, low, high)
    found = Minima.of(region).where(a.float()[:, None])[:, 0]
    return torch.clamp(found.double(), low, high)


@torch.no_grad()
def probe(network: Network, unsafe: Unsafe, x: Tensor) -> Tried:
    """Evaluate a network at inputs `(B, ...)`."""
    return Tried(x, unsafe.margin(network(x)))
