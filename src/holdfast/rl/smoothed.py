"""Policy smoothing: noise on every view, and bounds of the return under attack."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt
from typing import Any

import torch
from torch import Tensor

from holdfast.core.acting import Agent, Env
from holdfast.core.catalog import register, resolve
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.core.fields import NonNegative, Part, settings
from holdfast.core.records import Reading
from holdfast.ops.statistics import clopper_pearson_lower
from holdfast.rl.episodes import play


@register(
    "agent",
    name="smoothed",
    cites="policy-smoothing",
    says="Adds Gaussian noise to every view before its policy acts on it.",
)
@settings
class SmoothedPolicy(Agent):
    """Adds fresh Gaussian noise to each view, once, and lets a policy act on the noisy view.

    The noise is added where a view enters. A policy that remembers or stacks views belongs
    inside: then each view keeps the noise it came with. Noise added to every copy in a stack would
    be averaged out by the policy, and the certificate would be false.

    Args:
        policy: acts on noisy views; best trained under the same noise.
        sigma: standard deviation of the noise, in the unit of the views.
    """

    policy: Part[Agent] = "agent:linear"
    sigma: NonNegative = 0.2

    def start(self, n: int) -> Any:
        return resolve(self.policy).start(n)

    def act(self, memory: Any, x: Tensor, dice: Dice) -> tuple[Tensor, Any]:
        noise = dice.normal(x.shape[1:], device=x.device, dtype=x.dtype)
        return resolve(self.policy).act(memory, x + self.sigma * noise, dice)

    def learn(self, memory: Any, x: Tensor, action: Tensor, reward: Tensor) -> Any:
        return resolve(self.policy).learn(memory, x, action, reward)


@dataclass(frozen=True, eq=False)
class ReturnBound:
    """Lower bounds of what a smoothed policy earns under attack.

    Args:
        budgets: Euclidean lengths of all changes of an episode together.
        lower: `(B,)` one bound per budget.
        n: clean episodes behind them.
        alpha: probability that any of them is wrong.
        name: of the readings.
        unit: of the bounds: of the return, or `share` for a probability.
        least: what no return falls below.
        most: the mean of the clean episodes.
    """

    budgets: tuple[float, ...]
    lower: Tensor
    n: int
    alpha: float
    name: str
    unit: str
    least: float
    most: float

    def readings(self) -> tuple[Reading, ...]:
        """One lower bound per budget."""
        return tuple(
            Reading(
                name=f"{self.name}.{budget:g}", value=float(v), low=float(v),
                high=max(float(v), self.most), n=self.n, bound="lower", unit=self.unit,
            )
            for budget, v in zip(self.budgets, self.lower, strict=True)
        )  # fmt: skip


def shifted(p: Tensor, budget: float, sigma: float) -> Tensor:
    """How likely an event of probability p stays under any adaptive attack within a budget.

    `Phi(Phi^-1(p) - budget / sigma)`. Among all adversaries who change views before Gaussian
    noise is added, within a total Euclidean length and knowing all that has happened, the worst
    one for an event of probability p moves a single view along a line; so the bound of static
    smoothing holds for whole episodes.
    """
    found: Tensor = torch.special.ndtr(torch.special.ndtri(p.double()) - budget / sigma)
    return found


def _checked(returns: Tensor, sigma: float, alpha: float, budgets: tuple[float, ...]) -> Tensor:
    if not len(returns) or sigma <= 0 or not 0 < alpha <= 0.5 or min(budgets, default=0) < 0:
        raise ConfigError(
            f"policy smoothing: needs episodes, sigma > 0, alpha in (0, 0.5] and budgets >= 0, got "
            f"{len(returns)}, {sigma}, {alpha} and {budgets}",
            fix="Give one episode or more, sigma=0.1, alpha=0.05 and budgets=(0.1,).",
        )
    return returns.double().flatten()


def threshold_bound(
    returns: Tensor, threshold: float, *, sigma: float, budgets: tuple[float, ...],
    alpha: float = 0.05,
) -> ReturnBound:  # fmt: skip
    """How likely the return reaches a threshold under attack, from clean noisy episodes.

    Args:
        returns: `(n,)` of independent episodes; one that is not a number did not reach it.
        threshold: chosen before the episodes were played.
        sigma: of the noise they were played under.
        budgets: of the adversary; one event serves all of them, so no level is split.
        alpha: probability that the bounds are wrong.

    Raises:
        ConfigError: without episodes, or for values out of range.
    """
    r = _checked(returns, sigma, alpha, budgets)
    wins = int((r >= threshold).sum())
    p = torch.tensor(clopper_pearson_lower(wins, len(r), alpha))
    lower = torch.stack([shifted(p, b, sigma) for b in budgets])
    return ReturnBound(budgets, lower, len(r), alpha, "return.reached", "share", 0.0, wins / len(r))


def mean_bound(
    returns: Tensor, *, least: float, sigma: float, budgets: tuple[float, ...], alpha: float = 0.05
) -> ReturnBound:
    """The mean return under attack, from clean noisy episodes.

    The empirical distribution lies above the true one by at most `sqrt(log(1 / alpha) / 2n)`
    everywhere at once with probability 1 - alpha (Massart). So all events `return >= t` are bounded
    together, and the mean is `least` plus the integral of their probabilities.

    Args:
        returns: `(n,)` of independent episodes; one that is not a number counts as `least`.
        least: a number that no return falls below.
        sigma: of the noise they were played under.
        budgets: of the adversary.
        alpha: probability that any of the bounds is wrong, at most 1/2.

    Raises:
        ConfigError: without episodes, for values out of range, or a return below `least`.
    """
    r = _checked(returns, sigma, alpha, budgets)
    r = torch.where(r.isnan(), least, r)
    if not abs(least) < float("inf") or bool((r < least).any()) or bool(r.isposinf().any()):
        raise ConfigError(
            f"policy smoothing: returns must be finite and at least {least}, got {float(r.min())}",
            fix="Pass the smallest return that is possible, or use threshold_bound.",
        )
    levels = torch.cat([torch.tensor([least], dtype=torch.float64), r]).unique()
    reached = (r[None] >= levels[1:, None]).double().mean(1)
    p = (reached - sqrt(log(1 / alpha) / (2 * len(r)))).clamp(min=0)
    lower = torch.stack([least + (levels.diff() * shifted(p, b, sigma)).sum() for b in budgets])
    most = float(r.mean())
    return ReturnBound(budgets, lower, len(r), alpha, "return.mean", "return", least, most)


def certify_return(
    env: Env, agent: SmoothedPolicy, *, budgets: tuple[float, ...], episodes: int = 1000,
    alpha: float = 0.05, threshold: float | None = None, dice: Dice | None = None,
) -> ReturnBound:  # fmt: skip
    """Play clean episodes of a smoothed policy and bound its return under any attack on its views.

    Args:
        env: the environment; for the mean its `least` must be finite.
        agent: the smoothed policy, which is what the bounds are about.
        budgets: Euclidean lengths of all changes of an episode together.
        episodes: clean episodes played.
        alpha: probability that the bounds are wrong.
        threshold: bound the probability of this return instead of the mean.
        dice: one row per episode.

    Raises:
        ConfigError: for values out of range.

    Cost: `episodes` episodes, whatever the number of budgets.
    """
    played = play(env, agent, episodes, dice=dice).returns
    if threshold is not None:
        return threshold_bound(played, threshold, sigma=agent.sigma, budgets=budgets, alpha=alpha)
    return mean_bound(played, least=env.least, sigma=agent.sigma, budgets=budgets, alpha=alpha)
