"""Laws of environments: episodes of their own, bounded as they say, the same for the same dice."""

from __future__ import annotations

import torch

from holdfast.core.acting import Env
from holdfast.core.dice import Dice
from holdfast.core.errors import HoldfastError
from holdfast.rl.agents import LinearFeedback
from holdfast.rl.episodes import Episodes, play
from holdfast.testing.laws import LawBroken

KEYS = torch.tensor([7, 3, 11, 0, 5, 2])


def _played(env: Env, dice: Dice) -> Episodes:
    """Episodes under a linear feedback that fits the view."""
    size = env.view(env.reset(1, Dice.of(1))).flatten(1).shape[1]
    return play(env, LinearFeedback(gain=((-0.5,) * size,)), len(dice), dice=dice)


def law_returns_keep_their_bound(env: Env) -> None:
    """Returns are finite, not below `least`, and no episode outlasts `steps`."""
    found = _played(env, Dice.of(40))
    if not bool(found.returns.isfinite().all()) or bool((found.returns < env.least).any()):
        raise LawBroken(
            f"{env!r} returns {float(found.returns.min())}, at least {env.least} is said"
        )
    if bool((found.lengths > env.steps).any()) or bool((found.lengths < 1).any()):
        raise LawBroken(f"{env!r} lasts {int(found.lengths.max())} of {env.steps} steps")


def law_same_dice_same_episodes(env: Env) -> None:
    """The same dice give the same episodes; global random state is untouched."""
    state = torch.random.get_rng_state()
    a, b = (_played(env, Dice(3, KEYS)) for _ in range(2))
    if not torch.equal(a.states, b.states) or not torch.equal(a.returns, b.returns):
        raise LawBroken(f"{env!r} plays differently the second time")
    if not torch.equal(state, torch.random.get_rng_state()):
        raise LawBroken(f"{env!r} touches the global random state")


def law_episodes_are_independent(env: Env) -> None:
    """An episode does not depend on those beside it, nor on their order."""
    order = torch.tensor([4, 0, 2])
    whole, part = _played(env, Dice(3, KEYS)), _played(env, Dice(3, KEYS[order]))
    if not torch.allclose(whole.returns[order], part.returns, rtol=1e-9, atol=1e-9):
        raise LawBroken(f"{env!r}: episodes depend on each other")


def law_no_episodes_work(env: Env) -> None:
    """None in, none out."""
    try:
        found = _played(env, Dice.of(0))
    except HoldfastError as error:
        raise LawBroken(f"{env!r} cannot play no episode") from error
    if found.returns.shape != (0,):
        raise LawBroken(f"{env!r}: no episodes give {tuple(found.returns.shape)}")
