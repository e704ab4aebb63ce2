"""Policy smoothing: exact where it can be, never above what strong adversaries leave."""

import pytest
import torch
from scipy.stats import norm

from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.rl.agents import Greedy, LinearFeedback, Stacked
from holdfast.rl.episodes import play
from holdfast.rl.smoothed import (
    SmoothedPolicy,
    certify_return,
    mean_bound,
    shifted,
    threshold_bound,
)
from holdfast.rl.worlds import DoubleIntegrator, Tracking

SIGMA = 0.5


def all_at_once(step, x, views, actions):
    """The whole budget on the first view, towards the other sign."""
    return -100.0 * x.sign() * float(step == 0)


def evenly(budget, length):
    return lambda step, x, views, actions: -x.sign() * budget / length**0.5


def when_it_is_close(step, x, views, actions):
    """Waits for a state near the boundary, then spends all; it never spends beyond."""
    return -100.0 * x.sign() * (x.abs() < 0.3)


def test_one_step_of_a_linear_policy_attains_the_bound():
    """Clean probability Phi(start / sigma); moved by B against it: exactly the bound."""
    env = Tracking(length=1, start=0.6, spread=0.0)
    agent = SmoothedPolicy(sigma=SIGMA)
    clean = play(env, agent, 20000).returns.mean()
    assert float(clean) == pytest.approx(norm.cdf(0.6 / SIGMA), abs=0.01)
    hit = play(env, agent, 20000, adversary=all_at_once, budget=0.4)
    want = norm.cdf(0.2 / SIGMA)
    assert float(shifted(torch.tensor(norm.cdf(0.6 / SIGMA)), 0.4, SIGMA)) == pytest.approx(want)
    assert float(hit.returns.mean()) == pytest.approx(want, abs=0.01)
    assert float((hit.spent - 0.4).abs().max()) < 1e-9


def test_no_adversary_comes_below_the_bounds():
    """Three adversaries, three budgets, ten certificates, both kinds of bound."""
    env, agent = Tracking(start=0.4), SmoothedPolicy(sigma=SIGMA)
    budgets = (0.1, 0.25, 0.5)
    left = {}
    for budget in budgets:
        hit = [
            play(env, agent, 3000, dice=Dice.of(3000, 99), adversary=a, budget=budget).returns
            for a in (all_at_once, evenly(budget, 10), when_it_is_close)
        ]
        left[budget] = (
            min(float(r.mean()) for r in hit),
            min(float((r >= 7).double().mean()) for r in hit),
        )
    violations = 0
    for seed in range(10):
        dice = Dice.of(1000, seed)
        mean = certify_return(env, agent, budgets=budgets, dice=dice).lower
        share = certify_return(env, agent, budgets=budgets, dice=dice, threshold=7.0).lower
        for k, budget in enumerate(budgets):
            violations += int(mean[k] > left[budget][0] + 0.05)
            violations += int(share[k] > left[budget][1] + 0.02)
        assert mean[0] > mean[1] > mean[2] > 0
    assert violations <= 1


def test_noise_on_every_copy_in_a_stack_would_break_the_bound():
    """A policy that averages frames wins its noise back; the attack on a view is in all copies."""
    env = Tracking(length=16, start=1.0, spread=0.0)
    mean = LinearFeedback(gain=((1 / 16,) * 16,))
    right = SmoothedPolicy(policy=Stacked(policy=mean, frames=16), sigma=1.0)
    wrong = Stacked(policy=SmoothedPolicy(policy=mean, sigma=1.0), frames=16)
    budget = 4.0

    def last(step, x, views, actions):
        return torch.full_like(x, -budget / 4)

    def reached(agent, **attack):
        return float((play(env, agent, 4000, **attack).returns >= 16).double().mean())

    for agent, sound in ((right, True), (wrong, False)):
        p = torch.tensor(reached(agent))
        bound = float(shifted(p, budget, 1.0))
        hit = reached(agent, adversary=last, budget=budget)
        assert (hit >= bound - 0.02) == sound


def test_bounds_are_wrong_no_more_often_than_alpha():
    """Returns of two values: both bounds against the true mean, over 2,000 certificates."""
    g = torch.Generator().manual_seed(0)
    draws = (torch.rand(2000, 60, generator=g) < 0.3).double()
    over = {"mean": 0, "share": 0}
    for row in draws:
        mean = mean_bound(row, least=0.0, sigma=1.0, budgets=(0.0,), alpha=0.1).lower
        share = threshold_bound(row, 1.0, sigma=1.0, budgets=(0.0,), alpha=0.1).lower
        over["mean"] += int(mean > 0.3 + 1e-12)
        over["share"] += int(share > 0.3 + 1e-12)
    assert max(over.values()) <= 0.1 * 2000
    assert over["share"] > 0.02 * 2000


def test_the_mean_of_several_values_is_summed_by_hand():
    r = torch.tensor([1.0, 3.0, 3.0, 6.0] * 1000)
    found = mean_bound(r, least=1.0, sigma=2.0, budgets=(0.5,), alpha=0.05)
    slack = (torch.tensor(20.0).log() / 8000).sqrt().item()
    want = 1 + 2 * norm.cdf(norm.ppf(0.75 - slack) - 0.25)
    want += 3 * norm.cdf(norm.ppf(0.25 - slack) - 0.25)
    assert float(found.lower[0]) == pytest.approx(want)
    (reading,) = found.readings()
    assert reading.bound == "lower"
    assert reading.high == pytest.approx(3.25)


def test_what_is_not_a_number_did_not_win_and_wrong_values_are_refused():
    r = torch.tensor([float("nan"), 1.0, 1.0])
    assert threshold_bound(r, 1.0, sigma=1.0, budgets=(0.0,), alpha=0.5).lower < 2 / 3
    assert mean_bound(r, least=0.0, sigma=1.0, budgets=(0.0,), alpha=0.5).most == 2 / 3
    for bad in (
        {"least": 2.0}, {"least": float("-inf")}, {"sigma": 0.0}, {"alpha": 0.6},
        {"budgets": (-1.0,)},
    ):  # fmt: skip
        with pytest.raises(ConfigError, match="policy smoothing"):
            mean_bound(r, **({"least": 0.0, "sigma": 1.0, "budgets": (0.0,)} | bad))
    with pytest.raises(ConfigError, match="least"):
        certify_return(DoubleIntegrator(), SmoothedPolicy(
            policy=LinearFeedback(gain=((-1.0, -1.0),))), budgets=(0.1,), episodes=5)  # fmt: skip


def test_attacked_and_clean_episodes_share_their_draws_and_the_budget_is_kept():
    env, agent = Tracking(), SmoothedPolicy(sigma=SIGMA)
    a = play(env, agent, 50)
    b = play(env, agent, 50, adversary=when_it_is_close, budget=0.0)
    assert torch.equal(a.returns, b.returns)
    c = play(env, agent, 50, adversary=evenly(3.0, 10), budget=1.0)
    assert float(c.spent.max()) <= 1 + 1e-9
    assert torch.equal(a.states, c.states)  # here actions do not move the number


def test_agents_refuse_views_they_cannot_read():
    for agent in (LinearFeedback(), Greedy.example(None)):
        with pytest.raises(Unsupported):
            agent.act(None, torch.zeros(2, 3), Dice.of(2))
    with pytest.raises(ConfigError, match="model"):
        Greedy().act(None, torch.zeros(2, 1), Dice.of(2))
    env = Tracking(start=2.0, spread=0.0)
    assert float(play(env, Greedy.example(None), 3).returns.min()) == 10
