"""Features that hide the attack, asked by a probe of their own."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.short_runs import INNER, JUDGE, THREAT, rows, scores, trained
from holdfast.core.data import Batches
from holdfast.core.endless import LargestLoss
from holdfast.core.fields import settings
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Objective, Run
from holdfast.objectives.dial import DomainInvariant
from holdfast.objectives.trades import Trades
from holdfast.run.search import search

WEIGHT = 8.0


@settings
class Cooperative(DomainInvariant):
    """The mutant: the features help the head, since the gradient is not turned round."""

    def _told(self, run: Run, seen: list[Tensor]) -> Tensor:
        turned = [2 * h.detach() - h for h in seen]
        return super()._told(run, turned)


def _pair(model: nn.Sequential, data: Batches) -> tuple[Tensor, Tensor]:
    """Features of clean and of attacked rows, and which is which."""
    x: Tensor = data.x  # type: ignore[assignment]
    change = search(JUDGE, model, x, LargestLoss(Untargeted(data.y)), THREAT).change
    with torch.no_grad():
        h = model[:-1](torch.cat([x, x + change]))
    return h, (torch.arange(2 * len(x)) >= len(x)).long()


def _probe(model: nn.Sequential, seed: int) -> float:
    """Accuracy of a fresh linear probe that tells attacked from clean features."""
    from sklearn.linear_model import LogisticRegression

    data, test = rows(seed)
    (h, d), (other, truth) = _pair(model, data), _pair(model, test)
    told = LogisticRegression(max_iter=300).fit(h.numpy(), d.numpy())
    return float(told.score(other.numpy(), truth.numpy()))


@cache
def _judged(seed: int, objective: Objective) -> tuple[float, float, float]:
    model = trained(seed, objective)
    return (_probe(model, seed), *scores(model, seed))


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy of a probe after both trainings; accuracy and robustness must not suffer."""
    made = Cooperative if mutant else DomainInvariant
    ours = made(threat=THREAT, attack=INNER, weight=WEIGHT)
    told, clean, hard = _judged(seed, ours)
    before, plain_clean, plain_hard = _judged(
        seed, Trades(threat=THREAT, attack=INNER, weight=WEIGHT)
    )
    kept = clean >= plain_clean - 0.02 and hard >= plain_hard - 0.03
    return Trial(told, before, told < before - 0.03 and kept)


CLAIM = Claim(
    paper="dial",
    methods=("objective:dial", "recipe:dial"),
    says="A fresh probe tells attacked features from clean ones at least 3 points less often than "
    "after TRADES of the same weight, at a cost of at most 2 points of clean and 3 of robust "
    "accuracy.",
    left="accuracy of the probe after domain-invariant training",
    right="accuracy of the probe after TRADES",
    trial=trial,
    seeds=(31, 32, 33),
    mutants=("cooperates",),
    seconds=40,
    quick=False,
    known="does not hold",
    why="in a net this small and a run this short the head that is trained along is fooled while "
    "a fresh linear probe tells more than before: the features move instead of mixing",
)
