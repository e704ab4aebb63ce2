"""Playing episodes: an agent, an environment, and an adversary between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.acting import Agent, Env
from holdfast.core.dice import Dice
from holdfast.ops.batch import fit

# (step, view, past views as the agent was shown them, past actions) -> change of the view
Adversary = Callable[[int, Tensor, list[Tensor], list[Tensor]], Tensor]


@dataclass(frozen=True, eq=False)
class Episodes:
    """What came of n episodes.

    Args:
        returns: `(n,)` float64 sums of rewards.
        lengths: `(n,)` int64 steps played.
        spent: `(n,)` float64 Euclidean length of all changes of the views of an episode.
        states: `(n, T + 1, ...)` states; after its end an episode keeps its last one.
        actions: `(n, T, ...)` actions.
    """

    returns: Tensor
    lengths: Tensor
    spent: Tensor
    states: Tensor
    actions: Tensor


def play(
    env: Env, agent: Agent, n: int, *, dice: Dice | None = None,
    adversary: Adversary | None = None, budget: float = 0.0,
) -> Episodes:  # fmt: skip
    """Play n episodes to their end.

    Each episode draws from its own dice, so episodes are independent and the same whoever plays
    beside them. The adversary sees everything that has happened, but not the noise to come;
    what it adds to the views is cut back to its budget here, whatever it says.

    Args:
        env: the environment.
        agent: who acts.
        n: episodes.
        dice: of n rows; seed 0 unless given.
        adversary: changes what the agent sees; None leaves it.
        budget: largest Euclidean length of all changes of an episode together.

    Cost: at most `env.steps` decisions per episode.
    """
    rows = Dice.of(n) if dice is None else dice
    # Independent of whether there is an adversary: attacked and clean episodes share their draws.
    world, own = rows.spawn("env"), rows.spawn("agent")
    state, memory = env.reset(n, world), agent.start(n)
    returns = torch.zeros(n, dtype=torch.float64)
    lengths = torch.zeros(n, dtype=torch.int64)
    left = torch.full((n,), budget**2, dtype=torch.float64)
    over = torch.zeros(n, dtype=torch.bool)
    states, actions, views = [state], list[Tensor](), list[Tensor]()
    for step in range(env.steps):
        x = env.view(state)
        if adversary is not None:
            change = adversary(step, x, views, actions)
            size = change.flatten(1).double().square().sum(1)
            scale = (left / size.clamp(min=1e-300)).clamp(max=1).sqrt()
            change = fit(scale, change).to(x) * change
            left = (left - change.flatten(1).double().square().sum(1)).clamp(min=0)
            x = x + change
        action, memory = agent.act(memory, x, own)
        following, reward, ended = env.step(state, action, world)
        memory = agent.learn(memory, x, action, reward)
        returns = returns + reward.double().masked_fill(over, 0.0)
        lengths = lengths + (~over).long()
        state = torch.where(fit(over, state), state, following)
        over = over | ended
        views.append(x)
        actions.append(action)
        states.append(state)
        if n and bool(over.all()):
            break
    spent = (budget**2 - left).clamp(min=0).sqrt()
    return Episodes(returns, lengths, spent, torch.stack(states, 1), torch.stack(actions, 1))
