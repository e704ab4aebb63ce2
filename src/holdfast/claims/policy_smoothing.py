"""Policy smoothing: bounds of whole episodes hold against adaptive adversaries, and are tight."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.core.acting import Agent
from holdfast.core.dice import Dice
from holdfast.rl import smoothed
from holdfast.rl.agents import LinearFeedback, Stacked
from holdfast.rl.episodes import play
from holdfast.rl.smoothed import SmoothedPolicy, certify_return, shifted
from holdfast.rl.worlds import Tracking

SIGMA, EPISODES, REPEATS, FRAMES = 0.5, 600, 10, 16
BUDGETS = (0.2 * SIGMA, 0.5 * SIGMA, SIGMA)


def _at_once(step: int, x: Tensor, views: list[Tensor], actions: list[Tensor]) -> Tensor:
    """All on the first view."""
    return -100 * x.sign() * float(step == 0)


def _patient(step: int, x: Tensor, views: list[Tensor], actions: list[Tensor]) -> Tensor:
    """All on the first view that is near the boundary."""
    return -100 * x.sign() * (x.abs() < 0.3)


def _even(step: int, x: Tensor, views: list[Tensor], actions: list[Tensor]) -> Tensor:
    """A third of a noise deviation on every view, until nothing is left."""
    return -x.sign() * SIGMA / 3


def _half(p: Tensor, budget: float, sigma: float) -> Tensor:
    """Bug: the shift counts half."""
    return shifted(p, budget / 2, sigma)


def _observed(k: int, n: int, alpha: float) -> float:
    """Bug: the observed share instead of its lower bound."""
    return k / n


def _bound(p: float, budget: float, sigma: float, mutant: str) -> float:
    rule = _half if mutant == "half-shift" else shifted
    return float(rule(torch.tensor(p), budget, sigma))


def _stacked(mutant: str, seed: int) -> bool:
    """Whether the bound holds for a policy that averages the frames of a stack."""
    env = Tracking(length=FRAMES, start=1.0, spread=0.0)
    mean = LinearFeedback(gain=((1 / FRAMES,) * FRAMES,))
    agent: Agent = SmoothedPolicy(policy=Stacked(policy=mean, frames=FRAMES), sigma=1.0)
    if mutant == "noise-on-every-copy":
        agent = Stacked(policy=SmoothedPolicy(policy=mean, sigma=1.0), frames=FRAMES)

    def evenly(step: int, x: Tensor, views: Any, actions: Any) -> Tensor:
        return torch.full_like(x, -1.0)

    def won(**attack: Any) -> float:
        returns = play(env, agent, 2000, dice=Dice.of(2000, seed), **attack).returns
        return float((returns >= FRAMES).double().mean())

    return won(adversary=evenly, budget=4.0) >= _bound(won(), 4.0, 1.0, mutant) - 0.03


def _over(seed: int, mutant: str) -> float:
    """Share of certificates that exceed what the strongest of three adversaries leaves."""
    env, agent = Tracking(length=1, start=0.5, spread=0.0), SmoothedPolicy(sigma=SIGMA)
    # One step of a linear policy: what is left is known exactly, and the bound has no room.
    left = [float(torch.special.ndtr(torch.tensor((0.5 - b) / SIGMA))) for b in BUDGETS]
    over = 0
    for repeat in range(100):
        dice = Dice.of(100, 1000 * seed + repeat)
        found = certify_return(env, agent, budgets=BUDGETS, episodes=100, alpha=0.1,
                               threshold=1.0, dice=dice).lower  # fmt: skip
        over += int(any(v > w for v, w in zip(found.tolist(), left, strict=True)))
    return over / 100


def _episodes(seed: int, mutant: str) -> bool:
    """Whether mean returns of ten steps stay above their bounds under three adversaries."""
    env, agent = Tracking(start=0.4), SmoothedPolicy(sigma=SIGMA)
    found = certify_return(env, agent, budgets=BUDGETS, episodes=EPISODES,
                           dice=Dice.of(EPISODES, seed)).lower  # fmt: skip
    for adversary in (_at_once, _patient, _even):
        for bound, budget in zip(found.tolist(), BUDGETS, strict=True):
            hit = play(env, agent, EPISODES, dice=Dice.of(EPISODES, seed + 1),
                       adversary=adversary, budget=budget)  # fmt: skip
            if float(hit.returns.mean()) < bound - 0.1:
                return False
    return True


def trial(seed: int, mutant: str = "") -> Trial:
    """How often a bound is wrong where it is tight; episodes and stacks under attack."""
    rule = _half if mutant == "half-shift" else shifted
    share = _observed if mutant == "observed-share" else smoothed.__dict__["clopper_pearson_lower"]
    with (
        patch.object(smoothed, "shifted", rule),
        patch.object(smoothed, "clopper_pearson_lower", share),
    ):
        over = _over(seed, mutant)
        sound = _episodes(seed, mutant) and _stacked(mutant, seed)
    # 100 certificates at alpha 0.1: more than 22 errors have probability below 2e-4.
    return Trial(over, 0.22, over <= 0.22 and sound)


CLAIM = Claim(
    paper="policy-smoothing",
    methods=("agent:smoothed", "agent:stacked", "agent:linear", "env:tracking"),
    says="Bounds of the return under attacked views are wrong no more often than alpha = 0.1 where "
    "they are tight, and three adaptive adversaries and a policy that averages frames stay above.",
    left="share of 100 certificates above the exact value under attack",
    right="largest share that chance allows",
    trial=trial,
    seeds=(51, 52),
    mutants=("half-shift", "observed-share", "noise-on-every-copy"),
    seconds=30,
)
