"""Labels alone lead to the nearest change, where gradients are of no use."""

from __future__ import annotations

from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.attacks import boundary
from holdfast.attacks.boundary import Boundary
from holdfast.attacks.decisions import asked
from holdfast.attacks.pgd import PGD
from holdfast.attacks.smallest import Rows, Smallest
from holdfast.claims.harness import Claim, Trial
from holdfast.core.kinds import Access
from holdfast.run.passes import Tap
from holdfast.run.search import search
from holdfast.testing.worlds import two_class
from holdfast.threats.norms import L2

ROUNDS = 80
_asked = asked


class _Stays(Boundary):
    """Bug: never moves inwards."""

    def _round(
        self, known: Smallest, rows: Rows, change: Tensor, sideways: Tensor, inwards: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        return super()._round(known, rows, change, sideways, 0 * inwards)


def _credulous(known: Smallest, rows: Rows, change: Tensor, which: Tensor) -> Tensor:
    """Bug: believes that every change wins."""
    return _asked(known, rows, change, which) | which


class _Label(nn.Module):
    """1 for the winning class and 0 for the others, with gradients that are zero."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.inner(x)
        return 0 * z + F.one_hot(z.argmax(1), z.shape[1])


def trial(seed: int, mutant: str = "") -> Trial:
    """A linear model that says its label only: its distance is known, its gradients are zero."""
    world = two_class(rows=8, size=16, seed=seed)
    model = _Label(world.model)
    cls = _Stays if mutant == "stays-out" else Boundary
    threat, tap = L2(radius=1.0), Tap(model, Access.DECISION)
    ask = _credulous if mutant == "believes-losses" else _asked
    with torch.no_grad(), patch.object(boundary, "asked", ask):
        change = cls(steps=ROUNDS, smallest=True)(tap, world.x, world.goal, threat)
        won = world.goal(model(threat.apply(world.x, change))) >= 0
    truth = world.radius(2)
    left = float((threat.length(change) / truth)[won].mean()) if bool(won.any()) else 99.0
    masked = search(PGD(start="none"), model, world.x, world.goal, threat)
    blind = torch.equal(masked.margin, masked.clean)
    return Trial(left, 1.1, left <= 1.1 and bool(won.all()) and blind)


CLAIM = Claim(
    paper="boundary-attack",
    methods=("attack:boundary",),
    says="From labels alone it ends within 10 % of the smallest change, on a model of whose zero "
    "gradients gradient ascent makes nothing.",
    left="mean length of the changes found, over the distance of the linear model",
    right="1.1",
    trial=trial,
    mutants=("stays-out", "believes-losses"),
    seeds=(11, 12, 13),
    seconds=10,
)
