"""Conformal sets keep the promised coverage, neither less nor more, and RAPS makes them small."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.detect import conformal
from holdfast.detect.conformal import Conformal
from holdfast.ops.conformal import conformal_threshold

ROWS, TEST, REPEATS, CLASSES, ALPHA = 19, 100, 120, 12, 0.1
_real = Conformal.of


def _world(g: torch.Generator) -> tuple[Tensor, Tensor]:
    """A model that is wrong about its own certainty, over many classes."""
    y = torch.randint(CLASSES, (ROWS + TEST,), generator=g)
    z = torch.randn(ROWS + TEST, CLASSES, generator=g, dtype=torch.float64)
    z[torch.arange(len(y)), y] += 3
    return z, y


def _interpolated(scores: Tensor, alpha: float) -> float:
    """Bug: the usual quantile, between two scores."""
    return float(scores.quantile(1 - alpha)) if len(scores) else math.inf


def _own_draws(rule: Conformal, z: Tensor, u: Tensor) -> Tensor:
    """Bug: a draw for each class instead of one for the row, the largest kept."""
    g = torch.Generator().manual_seed(len(z))
    return torch.stack([_real(rule, z, torch.rand(len(z), generator=g)) for _ in range(8)]).amin(0)


@contextmanager
def _bug(mutant: str) -> Iterator[None]:
    with (
        patch.object(
            conformal,
            "conformal_threshold",
            _interpolated if mutant == "interpolates-the-quantile" else conformal_threshold,
        ),
        patch.object(Conformal, "of", _own_draws if mutant == "other-draws-on-new-rows" else _real),
    ):
        yield  # fmt: skip


def _rate(rule: Conformal, seed: int, mutant: str) -> tuple[float, float, float]:
    """Mean coverage, its standard error and the mean size over many calibrations."""
    g, rates, sizes = torch.Generator().manual_seed(seed), [], []
    for _ in range(REPEATS):
        z, y = _world(g)
        trusted = Batches(x=z[:ROWS], y=y[:ROWS])
        with _bug("" if mutant == "other-draws-on-new-rows" else mutant):
            found = rule.fit(lambda x: x, trusted)
        with _bug(mutant):
            sets = found.sets(z[ROWS:])
        rates.append(sets.gather(1, y[ROWS:, None]).double().mean())
        sizes.append(sets.sum(1).double().mean())
    rate = torch.stack(rates)
    return float(rate.mean()), float(rate.std()) / REPEATS**0.5, float(torch.stack(sizes).mean())


def trial(seed: int, mutant: str = "") -> Trial:
    """Coverage of LAC, APS and RAPS over calibrations with 19 rows, and the size of the sets."""
    rules = {
        "lac": Conformal(alpha=ALPHA),
        "aps": Conformal(strangeness="aps", alpha=ALPHA),
        "raps": Conformal(strangeness="raps", alpha=ALPHA, penalty=0.1, free_ranks=2),
    }
    if mutant == "no-penalty":
        rules["raps"] = Conformal(strangeness="raps", alpha=ALPHA, penalty=0.0)
    found = {name: _rate(rule, seed, mutant) for name, rule in rules.items()}
    exact = 18 / 20  # k / (n + 1)
    worst = max(abs(rate - exact) / error for rate, error, _ in found.values())
    smaller = found["raps"][2] < 0.97 * found["aps"][2]
    return Trial(worst, 4.0, worst <= 4 and smaller)


CLAIM = Claim(
    paper="split-conformal",
    methods=("detector:conformal", "measure:set-coverage"),
    says="With 19 calibration rows at alpha 0.1, LAC, APS and RAPS cover exactly 18/20 of new rows "
    "on average over 120 calibrations, and the sets of RAPS are smaller than those of APS.",
    left="largest deviation of the mean coverage from 18/20, in standard errors",
    right="largest deviation that chance allows",
    trial=trial,
    seeds=(11, 12, 13),
    mutants=("interpolates-the-quantile", "other-draws-on-new-rows", "no-penalty"),
    seconds=15,
)
