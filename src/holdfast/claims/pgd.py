"""Many projected steps from random starts find what one step misses, inside the ball."""

from __future__ import annotations

from torch import Tensor

from holdfast.attacks.pgd import FGSM, PGD
from holdfast.claims.harness import Claim, Trial
from holdfast.core.kinds import Attack
from holdfast.run.search import search
from holdfast.testing.worlds import TinyReLU
from holdfast.threats.norms import LInf

RADIUS = 0.1


class Unprojected(LInf):
    """Mutant: forgets to return into the ball between steps."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        return change


class Downhill(LInf):
    """Mutant: follows the gradient down."""

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        return -super().steepest(x, change, gradient)


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean gap to the exact worst margin: PGD with restarts against one step."""
    world = TinyReLU.make(hidden=8, rows=16, seed=seed)
    truth = world.worst(RADIUS)
    threat = {"": LInf, "forgets-projection": Unprojected, "descends": Downhill}[mutant]

    def share(attack: Attack, kind: type[LInf]) -> tuple[float, bool]:
        found = search(attack, world.model, world.x, world.goal, kind(radius=RADIUS))
        inside = bool((found.change.abs() <= RADIUS * (1 + 1e-5)).all())
        lost = found.broken == (truth >= 0)
        return float(lost.double().mean()), inside and bool((found.margin <= truth + 1e-9).all())

    many, honest = share(PGD(steps=20, restarts=8, climb="margin", schedule="cosine"), threat)
    one, _ = share(FGSM, LInf)
    return Trial(many, one, honest and many >= one and many >= 0.95)


CLAIM = Claim(
    paper="pgd",
    methods=("attack:pgd", "attack:fgsm"),
    says="with restarts it decides at least 95 % of rows as enumeration does, and no fewer than "
    "one step does, and never exceeds the exact worst margin",
    left="share of rows that PGD decides as enumeration does",
    right="the same share for one step",
    trial=trial,
    mutants=("forgets-projection", "descends"),
    seconds=5,
)
