"""The weight of TRADES buys robustness and costs accuracy."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from statistics import mean

from torch import Tensor

from holdfast.claims.hardening import INNER, THREAT, judged, plain
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batch
from holdfast.core.fields import settings
from holdfast.core.kinds import Run
from holdfast.objectives.trades import Trades

SEEDS, WEIGHTS = (31, 32, 33), (0.0, 1.0, 6.0, 20.0)


@settings
class Confident(Trades):
    """The mutant: takes the divergence between a prediction and itself."""

    def _departed(self, run: Run, x: Tensor, threat: object) -> Tensor:
        return x * 0


@settings
class Reversed(Trades):
    """The mutant: rewards the departure, a little."""

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        clean = Trades(weight=0.0)(run, batch)
        return clean - 0.01 * (super().__call__(run, batch) - clean)


@cache
def _table(seed: int) -> tuple[tuple[float, float], ...]:
    """Clean and robust accuracy at every weight; without weight it is plain training."""
    rest = [judged(seed, Trades(threat=THREAT, attack=INNER, weight=w)) for w in WEIGHTS[1:]]
    return (plain(seed), *rest)


def _trade() -> bool:
    """Over all seeds: robustness grows up to weight 6, and accuracy never does."""
    clean = [mean(_table(seed)[w][0] for seed in SEEDS) for w in range(len(WEIGHTS))]
    robust = [mean(_table(seed)[w][1] for seed in SEEDS) for w in range(len(WEIGHTS))]
    falls = all(b <= a + 0.015 for a, b in pairwise(clean))
    return falls and robust[0] < robust[1] < robust[2]


def trial(seed: int, mutant: str = "") -> Trial:
    """Robust accuracy with weight 6 and with weight 0 on held-out digits."""
    easy = plain(seed)[1]
    if mutant:
        kind = {"forgets-attack": Confident, "rewards-departure": Reversed}[mutant]
        hard = judged(seed, kind(threat=THREAT, attack=INNER, weight=6.0))[1]
        return Trial(hard, easy, hard > easy + 0.2)
    hard = _table(seed)[WEIGHTS.index(6.0)][1]
    return Trial(hard, easy, hard > easy + 0.2 and _trade())


CLAIM = Claim(
    paper="trades",
    methods=("objective:trades", "recipe:trades"),
    says="Weight 6 gains more than 20 points of robust accuracy over weight 0; in the mean over "
    "the seeds it grows from weight 0 over 1 to 6, and clean accuracy never rises by more than "
    "1.5 points from 0 over 1 and 6 to 20.",
    left="robust accuracy at weight 6 (l-inf 0.1)",
    right="robust accuracy at weight 0",
    trial=trial,
    seeds=SEEDS,
    mutants=("forgets-attack", "rewards-departure"),
    seconds=120,
    quick=False,
)
