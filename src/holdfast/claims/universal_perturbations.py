"""One change, the same for all inputs, also breaks inputs it was not made from."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.attacks.pgd import PGD
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits, error, trained
from holdfast.core.goal import Untargeted
from holdfast.run.search import search
from holdfast.threats.norms import LInf
from holdfast.threats.shared import Shared

RADIUS = 0.25


class _Single(Shared):
    """Bug: each row gets a change of its own."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        return self._inner.project(x, change)

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        return self._inner.steepest(x, change, gradient)


class _Cancels(Shared):
    """Bug: what rows have in common is subtracted before it is summed."""

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        return super().steepest(x, change, gradient - gradient.mean(0, keepdim=True))


class _Ungiving(Shared):
    """Bug: the change is not held within the radius."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        return self._spread(self._mean(change), x)


MUTANTS = {
    "": Shared, "one-for-each-row": _Single, "cancels-the-sum": _Cancels,
    "leaves-the-ball": _Ungiving,
}  # fmt: skip


def trial(seed: int, mutant: str = "") -> Trial:
    """A change made from 300 digits, tried on 400 others, against random signs."""
    model, (train, test) = trained(seed), digits(seed)
    x, y = train.take(slice(0, 300)).whole.x, train.y[:300]
    threat = MUTANTS[mutant](threat=LInf(radius=RADIUS))
    attack = PGD(steps=20, climb="soft", schedule="cosine")
    found = search(attack, model, x, Untargeted(y), threat)  # type: ignore[arg-type]
    one = found.change[:1]
    same = bool((found.change == one).all())
    inside = bool((one.abs() <= RADIUS * (1 + 1e-5)).all())
    new: Tensor = test.x[:400]  # type: ignore[index, assignment]
    labels = test.y[:400]
    left = error(model, (new + one).clamp(0, 1), labels)
    g = torch.Generator().manual_seed(seed + 1)
    blind = []
    for _ in range(10):
        signs = 2 * torch.randint(2, tuple(one.shape), generator=g) - 1
        blind.append(error(model, (new + RADIUS * signs).clamp(0, 1), labels))
    right = max(blind)
    return Trial(left, right, same and inside and left > right + 0.2)


CLAIM = Claim(
    paper="universal-perturbations",
    methods=("threat:shared",),
    says="One change found on 300 digits breaks new digits over 20 points more often than any of "
    "ten random changes of the same size.",
    left="error on 400 new digits under the one change",
    right="largest error under ten random sign changes",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=("one-for-each-row", "cancels-the-sum", "leaves-the-ball"),
    seconds=4,
)
