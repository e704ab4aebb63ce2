"""The weight of TRADES buys robustness."""

from __future__ import annotations

from torch import Tensor

from holdfast.attacks.pgd import PGD
from holdfast.claims.digits import plain_robust, robust_accuracy, split, trained
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batch
from holdfast.core.fields import settings
from holdfast.core.kinds import Run
from holdfast.objectives.trades import Trades
from holdfast.threats.norms import LInf

RADIUS = 0.15


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


def trial(seed: int, mutant: str = "") -> Trial:
    """Robust accuracy with weight 6 and with weight 0 on held-out digits at radius 0.15."""
    data, test = split(seed, 640)
    kind = {"": Trades, "forgets-attack": Confident, "rewards-departure": Reversed}[mutant]
    threat, attack = LInf(radius=RADIUS), PGD(steps=5)
    heavy = kind(threat=threat, attack=attack, weight=6.0)
    hard = robust_accuracy(trained(seed, data, heavy, 12), test, RADIUS)
    plain = plain_robust(seed, 640, 12, RADIUS)
    return Trial(hard, plain, hard > plain + 0.1)


CLAIM = Claim(
    paper="trades",
    methods=("objective:trades", "recipe:trades"),
    says="Weight 6 gains more than 10 points of robust accuracy over weight 0.",
    left="robust accuracy at weight 6",
    right="robust accuracy at weight 0",
    trial=trial,
    seeds=(11, 12, 13),
    mutants=("forgets-attack", "rewards-departure"),
    seconds=10,
)
