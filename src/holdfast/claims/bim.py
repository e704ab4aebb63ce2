"""Several small steps find worse inputs than one large step of the same reach."""

from __future__ import annotations

from torch import Tensor

from holdfast.attacks.pgd import BIM, FGSM
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits, trained
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Attack
from holdfast.run.search import search
from holdfast.threats.norms import LInf

RADIUS = 0.1


class _Unclipped(LInf):
    """Bug: forgets to clip between the steps."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        return change


def trial(seed: int, mutant: str = "") -> Trial:
    """Share of 400 digits that ten small steps break, and one large step."""
    model, rows = trained(seed), digits(seed)[1].take(slice(0, 400)).whole
    x: Tensor = rows.x  # type: ignore[assignment]
    kind = _Unclipped if mutant == "forgets-to-clip" else LInf

    def broken(attack: Attack, own: LInf) -> tuple[float, bool]:
        found = search(attack, model, x, Untargeted(rows.y), own)
        inside = bool((found.change.abs() <= RADIUS * (1 + 1e-5)).all())
        return float(found.broken.double().mean()), inside

    left, inside = broken(FGSM if mutant == "one-step" else BIM, kind(radius=RADIUS))
    right, _ = broken(FGSM, LInf(radius=RADIUS))
    return Trial(left, right, inside and left > right)


CLAIM = Claim(
    paper="bim",
    methods=("attack:bim",),
    says="Ten small steps break more digits than one large step, within the same radius.",
    left="share of digits broken by ten small steps",
    right="share of digits broken by one step of the whole radius",
    trial=trial,
    seeds=(201, 202, 203),
    mutants=("one-step", "forgets-to-clip"),
    seconds=3,
)
