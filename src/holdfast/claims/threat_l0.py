"""Few positions: projection is the nearest admissible change, and a step gains what can be had."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.ops.geometry import room
from holdfast.threats.sparse import L0

ROWS, SIZE, COUNT = 12, 7, 3


class Smallest(L0):
    """Mutant: keeps the positions that change least."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        return super().project(x, change.sign() / change.abs().clamp(min=1e-9))


class Early(L0):
    """Mutant: chooses positions before it looks at the box."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        kept = change.abs().argsort(dim=1, descending=True)[:, :COUNT]
        down, up = room(x, self.low, self.high)
        chosen = torch.zeros_like(change).scatter(1, kept, change.gather(1, kept))
        return torch.minimum(torch.maximum(chosen, down), up)


class OneMore(L0):
    """Mutant: lets one position too many through."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        return L0(radius=self.radius + 1).project(x, change)


MUTANTS = {"": L0, "keeps-the-smallest": Smallest, "forgets-the-box": Early, "one-more": OneMore}


def _best(x: Tensor, wanted: Tensor) -> Tensor:
    """`(B,)`: least distance of a change of so many positions, over all sets of them."""
    down, up = room(x, 0.0, 1.0)
    inside, least = torch.minimum(torch.maximum(wanted, down), up), []
    for chosen in combinations(range(SIZE), COUNT):
        point = torch.zeros_like(wanted)
        point[:, list(chosen)] = inside[:, list(chosen)]
        least.append((point - wanted).square().sum(1))
    return torch.stack(least).amin(0)


def trial(seed: int, mutant: str = "") -> Trial:
    """Distances of projected changes against all sets of positions."""
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(ROWS, SIZE, generator=g, dtype=torch.float64)
    wanted = 1.5 * torch.randn(ROWS, SIZE, generator=g, dtype=torch.float64)
    found = MUTANTS[mutant](radius=float(COUNT)).project(x, wanted)
    excess = float(((found - wanted).square().sum(1) - _best(x, wanted)).abs().amax())
    inside = bool((L0(radius=float(COUNT)).size(x, found) <= 1).all())
    return Trial(excess, 1e-9, inside and excess <= 1e-9)


CLAIM = Claim(
    paper="threat:l0",
    methods=("threat:l0",),
    says="projecting onto few positions within the box gives the nearest such change, as found "
    "by trying all sets of positions",
    left="largest excess of squared distance over the least of all sets",
    right="rounding",
    trial=trial,
    seeds=(301, 302, 303),
    mutants=("keeps-the-smallest", "forgets-the-box", "one-more"),
    seconds=5,
)
