"""Randomized smoothing: certified radii exceed the true distance no more often than promised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from scipy.stats import binom
from torch import Tensor, nn

from holdfast.certify.smoothing import randomized as smoothing
from holdfast.certify.smoothing.randomized import Smoothing
from holdfast.certify.smoothing.votes import votes
from holdfast.claims.harness import Claim, Trial
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.defend.smoothed import Smoothed, smoothed
from holdfast.ops.statistics import clopper_pearson_lower
from holdfast.testing.worlds import Linear
from holdfast.threats.norms import L2

ROWS, SAMPLES, ALPHA, SIGMA, RADIUS = 1000, 500, 0.05, 0.2, 0.1


class _Coin(nn.Module):
    """Two classes in stripes far narrower than the noise: each gets half of all noisy copies.

    No answer of the smoothed model has a majority, so its true radius is 0 everywhere.
    """

    def forward(self, x: Tensor) -> Tensor:
        side = (x[:, 0] * 1e4).floor() % 2
        return torch.stack([side, 1 - side], 1)


def _observed(k: Tensor, n: int, alpha: float) -> Tensor:
    """Bug: the observed share instead of its lower confidence bound."""
    return (k.double() / n).clamp(max=1 - 1e-9)


def _doubled(k: Tensor, n: int, alpha: float) -> Tensor:
    """Bug: a bound that is wrong twice as often as said."""
    return clopper_pearson_lower(k, n, 2 * alpha)


def _reused(
    model: Smoothed, x: Tensor, samples: int, dice: Dice, *, shared: bool = False
) -> Tensor:
    """Bug: the copies that choose the class are counted again to bound its share."""
    return votes(model, x, SAMPLES, Dice(dice.seed, dice.keys, "same"))


@contextmanager
def _bug(mutant: str) -> Iterator[None]:
    share = {"observed-share": _observed, "doubled-alpha": _doubled}.get(
        mutant, clopper_pearson_lower
    )
    counted = _reused if mutant == "reuses-the-selection" else votes
    with (
        patch.object(smoothing, "clopper_pearson_lower", share),
        patch.object(smoothing, "votes", counted),
    ):
        yield


def _radius(found: Certificate, mutant: str) -> Tensor:
    """The radii, and what the two bugs that only concern them make of them."""
    radius = found.radius if found.radius is not None else torch.zeros_like(found.margin)
    if mutant == "never-abstains":
        # The quantile of the winner's share, from the log-odds at the threat's radius.
        reach = torch.special.ndtri(torch.sigmoid(-found.margin)) + RADIUS / SIGMA
        radius = SIGMA * reach.abs()
    return radius / 2 if mutant == "half-sigma" else radius


def trial(seed: int, mutant: str = "") -> Trial:
    """Radii of a linear model, whose true radius is the distance to its boundary, and of a coin."""
    world = Linear.make(2, ROWS, 4, seed)
    coin = torch.rand(ROWS, 1, generator=torch.Generator().manual_seed(seed)).double()
    certifier, threat = Smoothing(samples=SAMPLES, alpha=ALPHA), L2(radius=RADIUS)
    distance, over = world.radius(2.0), []
    with _bug(mutant):
        model = smoothed(world.model, sigma=SIGMA)
        found = certifier(model, world.x, world.goal, threat, dice=Dice.of(ROWS, seed))
        radius = _radius(found, mutant)
        over.append(float((radius > distance).double().mean()))
        tossed = smoothed(_Coin(), sigma=SIGMA)
        for label in (0, 1):  # whichever class the rows are asked about
            goal = Untargeted(torch.full((ROWS,), label))
            seen = certifier(tossed, coin, goal, threat, dice=Dice.of(ROWS, seed + 1))
            over.append(float((_radius(seen, mutant) > 0).double().mean()))
        many = Smoothing(samples=20000, alpha=0.001)
        near = world.radius(2.0)[:20] < 2 * SIGMA
        fine = many(model, world.x[:20], world.goal.take(slice(0, 20)), threat,
                    dice=Dice.of(20, seed))  # fmt: skip
    # The coin's two questions share its draws: a false radius can be given to either label.
    wrong = max(over[0], over[1] + over[2])
    limit = float(binom.ppf(1 - 1e-4, ROWS, ALPHA)) / ROWS
    ratio = float(_radius(fine, mutant)[near].sum() / distance[:20][near].sum())
    agree = bool((found.proved == (_radius(found, "") > RADIUS)).all())
    return Trial(wrong, limit, wrong <= limit and ratio >= 0.9 and agree)


CLAIM = Claim(
    paper="randomized-smoothing",
    methods=("certifier:smoothing", "defence:smoothed"),
    says="Radii exceed the true one with probability at most alpha = 0.05 per row, also where no "
    "class has a majority, and with 20,000 samples reach 90 % of the true ones on average.",
    left="share of rows whose radius exceeds the true one, the larger of a linear model and a coin",
    right="largest share that chance allows at that alpha, at level 1e-4",
    trial=trial,
    seeds=(401, 402, 403),
    mutants=(
        "observed-share", "doubled-alpha", "reuses-the-selection", "never-abstains", "half-sigma",
    ),
    seconds=5,
)  # fmt: skip
