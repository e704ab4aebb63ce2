"""A sequential test of smoothing: as often wrong as promised, at a hundredth of the samples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from scipy.stats import binom
from torch import Tensor

from holdfast.certify.smoothing import anytime, sequential
from holdfast.certify.smoothing.anytime import SequentialSmoothing
from holdfast.certify.smoothing.randomized import Smoothing
from holdfast.certify.smoothing.sequential import share_test
from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.defend.smoothed import smoothed
from holdfast.testing.worlds import Linear
from holdfast.threats.norms import L2

ROWS, ALPHA, MOST, ODDS, SIGMA, RADIUS = 20_000, 0.02, 2000, 0.75, 0.2, 0.1
FIXED = 20_000  # samples per row of the fixed certificate that it is compared with


def _looked_up(wins: Tensor, draws: Tensor, odds: float) -> Tensor:
    """Bug: the p-value of a fixed number of draws, looked at again and again."""
    p = float(torch.special.ndtr(torch.tensor(odds, dtype=torch.float64)))
    tail = binom.sf((wins - 1).numpy(), draws.numpy(), p)
    return -torch.as_tensor(tail).log()


def _most_likely(wins: Tensor, draws: Tensor, odds: float) -> Tensor:
    """Bug: the likelihood of the best share instead of the average over shares."""
    p = torch.special.ndtr(torch.tensor(odds, dtype=torch.float64))
    q, k, n = (wins / draws).double().clamp(1e-9, 1 - 1e-9), wins.double(), draws.double()
    gain = k * (q / p).log() + (n - k) * ((1 - q) / (1 - p)).log()
    return torch.where(q > p, gain, -torch.inf)


@contextmanager
def _bug(mutant: str) -> Iterator[None]:
    wrong = {"looks-for-free": _looked_up, "best-for-average": _most_likely}
    found = wrong.get(mutant, sequential.log_evidence)

    def test(draw, rows, odds, **settings):  # type: ignore[no-untyped-def]
        return share_test(draw, rows, 0.0 if mutant == "majority-for-limit" else odds, **settings)

    with (
        patch.object(sequential, "log_evidence", found),
        patch.object(anytime, "share_test", test),
    ):
        yield


def trial(seed: int, mutant: str = "") -> Trial:
    """Passes at the limit itself, then rows of a linear model, whose true radii are known."""
    g = torch.Generator().manual_seed(seed)
    limit = torch.special.ndtr(torch.tensor(ODDS, dtype=torch.float64))

    def at_limit(rows: Tensor, n: int) -> Tensor:
        shares = torch.full((len(rows),), float(limit), dtype=torch.float64)
        return torch.binomial(torch.full_like(shares, float(n)), shares, generator=g).long()

    world, count = Linear.make(2, 60, 4, seed), 0
    distance = world.radius(2.0)

    def counted(x: Tensor) -> Tensor:
        nonlocal count
        count += len(x)
        z: Tensor = world.model(x)
        return z

    with _bug(mutant):
        passed = share_test(at_limit, ROWS, ODDS, alpha=ALPHA, most=MOST).passed
        certifier = SequentialSmoothing(samples=FIXED, alpha=0.001)
        found = certifier(
            smoothed(counted, sigma=SIGMA), world.x, world.goal, L2(radius=RADIUS),
            dice=Dice.of(60, seed),
        )  # fmt: skip
    used, clear = count / 60, (distance - RADIUS).abs() > 0.25 * RADIUS
    fixed = Smoothing(samples=FIXED)(
        smoothed(world.model, sigma=SIGMA), world.x, world.goal, L2(radius=RADIUS),
        dice=Dice.of(60, seed),
    )  # fmt: skip
    right = bool((found.proved == (distance > RADIUS))[clear].all())
    same = float((found.proved == fixed.proved).double().mean()) >= 0.95
    wrong = float(passed.double().mean())
    allowed = float(binom.ppf(1 - 1e-4, ROWS, ALPHA)) / ROWS
    return Trial(wrong, allowed, wrong <= allowed and right and same and used < FIXED / 10)


CLAIM = Claim(
    paper="certifier:smoothing-sequential",
    methods=("certifier:smoothing-sequential",),
    says="Looked at after every few draws, a row at the limit passes with probability at most "
    "alpha = 0.02; linear rows pass on the right side of their radius, 95 % as a fixed number of "
    "samples decides, with less than a tenth of them on average.",
    left="share of rows at the limit that pass",
    right="largest share that chance allows at that alpha, at level 1e-4",
    trial=trial,
    seeds=(411, 412, 413),
    mutants=("looks-for-free", "best-for-average", "majority-for-limit"),
    seconds=8,
)
