"""The loss of the worst distribution bounds the loss on new attacked rows; the mean does not."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.short_runs import INNER, JUDGE, THREAT, rows, trained
from holdfast.core.data import Batch, Batches
from holdfast.core.endless import LargestLoss
from holdfast.core.fields import settings
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Run
from holdfast.hooks.holistic import HolisticRobust
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.ops.holistic import holistic_value
from holdfast.run.search import search

ROWS, EPOCHS, FLIPPED, ALPHA, RADIUS = 200, 60, 0.1, 0.1, 0.1


@settings
class Careless(HolisticRobust):
    """The mutant: rows weigh alike."""

    def share(self, run: Run, batch: Batch, losses: Tensor) -> Tensor | None:
        return None


def _data(seed: int) -> tuple[Batches, Batches]:
    """Few rows, some of whose labels are wrong, and held-out ones."""
    data, test = rows(seed, ROWS)
    g = torch.Generator().manual_seed(seed)
    wrong = torch.rand(ROWS, generator=g) < FLIPPED
    y = torch.where(wrong, (data.y + torch.randint(1, 10, (ROWS,), generator=g)) % 10, data.y)
    return Batches(x=data.x, y=y, size=ROWS), test


def _losses(model: nn.Module, data: Batches) -> Tensor:
    """The loss of each row under attack."""
    x: Tensor = data.x  # type: ignore[assignment]
    change = search(JUDGE, model, x, LargestLoss(Untargeted(data.y)), THREAT).change
    with torch.no_grad():
        return nn.functional.cross_entropy(model(x + change), data.y, reduction="none")


@cache
def _trained(seed: int, kind: str) -> tuple[Tensor, float]:
    """Losses of the rows learned from, and the mean loss on others, both under attack."""
    made = {"": HolisticRobust, "weighs-alike": Careless}.get(kind)
    hooks = () if made is None else (made(alpha=ALPHA, radius=RADIUS),)
    data, test = _data(seed)
    objective = AdversarialTraining(threat=THREAT, attack=INNER)
    model = trained(seed, objective, data=data, epochs=EPOCHS, hooks=hooks)
    return _losses(model, data), float(_losses(model, test).mean())


def trial(seed: int, mutant: str = "") -> Trial:
    """The training loss with its weights, and the loss on new rows."""
    losses, new = _trained(seed, "weighs-alike" if mutant == "weighs-alike" else "")
    plain, after = _trained(seed, "plain")
    bound = float(holistic_value(losses, ALPHA, RADIUS))
    if mutant == "mean-instead-of-worst":
        bound = float(losses.mean())
    gap, plain_gap = new - float(losses.mean()), after - float(plain.mean())
    return Trial(bound, new, bound >= new and float(plain.mean()) < after and gap < plain_gap)


CLAIM = Claim(
    paper="holistic-robust",
    methods=("hook:holistic-robust",),
    says="With a tenth of 200 labels wrong, the training loss of the worst distribution bounds the "
    "loss on new attacked rows, where that of adversarial training lies below it; and the gap "
    "between the two mean losses is smaller.",
    left="training loss of the worst distribution, under attack",
    right="loss on new rows, under attack",
    trial=trial,
    seeds=(31, 32, 33),
    mutants=("weighs-alike", "mean-instead-of-worst"),
    seconds=30,
    quick=False,
)
