"""Laws of agents: one action per view, from that view and its own past alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from holdfast.core.acting import Agent
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.testing.laws import LawBroken
from holdfast.testing.worlds import draws

KEYS = torch.tensor([7, 3, 11, 0, 5, 2])


def _acted(agent: Agent, views: Tensor, dice: Dice) -> Tensor:
    """`(n, T, ...)`: actions on a series of views `(n, T, d)`."""
    memory, found = agent.start(len(views)), []
    for t in range(views.shape[1]):
        action, memory = agent.act(memory, views[:, t], dice)
        found.append(action)
    return torch.stack(found, 1)


def _scenes(agent: Agent) -> Iterator[Tensor]:
    """Series of three views that the agent accepts, of one or two numbers each."""
    answered = False
    for size in (1, 2):
        views = torch.randn(6, 3, size, generator=draws(size), dtype=torch.float64)
        try:
            agent.act(agent.start(6), views[:, 0], Dice.of(6))
        except Unsupported:
            continue
        answered = True
        yield views
    if not answered:
        raise LawBroken(f"{agent!r} acts on no view of one or two numbers")


def law_one_finite_action_per_view(agent: Agent) -> None:
    """Every view gets a finite action; no views get none."""
    for views in _scenes(agent):
        found = _acted(agent, views, Dice(1, KEYS))
        if len(found) != len(views) or not bool(found.isfinite().all()):
            raise LawBroken(f"{agent!r} acts by {tuple(found.shape)} on {tuple(views.shape)}")
        if len(_acted(agent, views[:0], Dice.of(0))) != 0:
            raise LawBroken(f"{agent!r} acts where there is no view")


def law_same_dice_same_actions(agent: Agent) -> None:
    """The same dice and views give the same actions; global random state is untouched."""
    state = torch.random.get_rng_state()
    for views in _scenes(agent):
        a, b = (_acted(agent, views, Dice(1, KEYS)) for _ in range(2))
        if not torch.equal(a, b):
            raise LawBroken(f"{agent!r} acts differently the second time")
    if not torch.equal(state, torch.random.get_rng_state()):
        raise LawBroken(f"{agent!r} touches the global random state")


def law_rows_are_independent(agent: Agent) -> None:
    """An action does not depend on other episodes."""
    order = torch.tensor([4, 0, 2])
    for views in _scenes(agent):
        whole = _acted(agent, views, Dice(1, KEYS))[order]
        part = _acted(agent, views[order], Dice(1, KEYS[order]))
        if not torch.allclose(whole.double(), part.double(), rtol=1e-9, atol=1e-9):
            raise LawBroken(f"{agent!r}: episodes depend on each other")
