"""Paired logits look more robust to a short attack than they are."""

from __future__ import annotations

from functools import cache

from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.short_runs import THREAT, hardened, robust, rows, trained
from holdfast.core.goal import Untargeted
from holdfast.measures.model.masking import masking_gap
from holdfast.objectives.logit_pairing import LogitPairing
from holdfast.run.search import search

SHORT = PGD(steps=10, climb="soft")
ONE = PGD(steps=1, travel=1.0, start="none", climb="soft")
WEIGHT, EPOCHS = 10.0, 60


def _hidden(model: nn.Module, seed: int) -> float:
    """Rows that only the long attack breaks, as a share."""
    test = rows(seed)[1]
    x: Tensor = test.x  # type: ignore[assignment]
    found = search(SHORT, model, x, Untargeted(test.y), THREAT)
    return 1 - float(found.broken.double().mean()) - robust(model, test)


@cache
def _seen(seed: int, weight: float) -> tuple[float, bool]:
    """What the short attack misses, and whether slopes are told to be masked."""
    paired = LogitPairing(study=True, threat=THREAT, attack=ONE, weight=weight)
    model = trained(seed, paired, epochs=EPOCHS) if weight else hardened(seed)
    return _hidden(model, seed), masking_gap(model, rows(seed)[1]).masked


def trial(seed: int, mutant: str = "") -> Trial:
    """What a short attack misses, with paired logits and after adversarial training."""
    ours, flagged = _seen(seed, 0.0 if mutant == "forgets-pairing" else WEIGHT)
    honest, wronged = _seen(seed, 0.0)
    if mutant == "doubts-every-net":
        wronged = True
    return Trial(ours, honest, ours > honest and flagged and not wronged)


CLAIM = Claim(
    paper="alp-broken-defences",
    methods=("objective:logit-pairing", "recipe:logit-pairing"),
    says="Ten steps on the cross-entropy miss more rows that twenty on the margin break where "
    "logits were paired with those after one step than after adversarial training; the measure "
    "of masked slopes flags paired logits and not adversarial training.",
    left="rows that only the long attack breaks, with paired logits",
    right="the same after adversarial training",
    trial=trial,
    seeds=(31, 32, 33),
    mutants=("forgets-pairing", "doubts-every-net"),
    seconds=20,
    quick=False,
)
