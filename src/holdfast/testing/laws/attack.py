"""Laws of attacks. Score attacks get more room than gradient attacks where a law has a factor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from holdfast.core.catalog import build
from holdfast.core.dice import Dice
from holdfast.core.goal import AtLeast, Goal
from holdfast.core.kinds import Access, Attack, Threat
from holdfast.run.search import Found, search
from holdfast.testing.laws.attack_scenes import FACTOR, World, able, brief, hold, seek, single
from holdfast.testing.traces import no_trace, stopped_anywhere
from holdfast.testing.worlds import Linear

__all__ = ["brief"]


def law_changes_are_admissible(method: Attack) -> None:
    """What the attack returns is inside the threat, before anybody projects it."""
    method = brief(method)
    for world, threat in able(method):
        change = method(world.model, world.x, world.goal, threat)
        none = threat.none(world.x)
        hold(change.shape == none.shape, f"{method!r} returns {tuple(change.shape)}")
        size = threat.size(world.x, change).max()
        hold(size <= 1 + 1e-5, f"{method!r} left {threat.spec}: size {float(size)} radii")


def law_margins_are_those_of_the_changes(method: Attack) -> None:
    """The margin that is reported is the margin of the change that is handed back."""
    method = brief(method)
    for world, threat in able(method):
        found = seek(method, world, threat)
        with torch.no_grad():
            again = world.goal(threat.through(world.model, world.x, found.change))
        hold((again - found.margin).abs().max() < 1e-9, f"{method!r}: margin of another change")


def law_never_worse_than_nothing(method: Attack) -> None:
    """No row ends with a smaller margin than it had without any change."""
    method = brief(method)
    for world, threat in able(method):
        found = seek(method, world, threat)
        hold((found.margin >= found.clean).all(), f"{method!r} helped the defender")


def law_breaks_linear_worlds(method: Attack) -> None:
    """A linear model falls wherever the closed form says that the radius is large enough.

    With room of 5 % for gradient attacks, 50 % for score attacks, a factor 3 for decisions. Only
    the rows that must fall are attacked: the others would cost every stage of an attack.
    """
    room = FACTOR[method.access]
    for world, threat in able(method):
        if isinstance(world, Linear):
            order = 2.0 if threat.spec.startswith("l2") else float("inf")
            needed = world.radius(order)
            wide = build(f"threat:{threat.spec.partition(':')[0]}", radius=float(needed.median()))
            due = needed * room <= float(needed.median())
            rows = due.nonzero().flatten()
            dice, goal = Dice.of(len(world.x)).part(rows), world.goal.take(rows)
            found = search(method, world.model, world.x[rows], goal, wide, dice=dice)
            missed = int((~found.broken).sum())
            hold(missed == 0, f"{method!r} left {missed} of {len(rows)} rows under {wide}")


def law_decided_rows_cost_nothing(method: Attack) -> None:
    """A row that the adversary has won gets no further pass.

    Half of the rows are won whatever the input; after two calls of the model (one may look at
    the clean point) no call holds more rows than the other half.
    """
    method = brief(method)
    for world, threat in able(method):
        count = len(world.x)
        level = torch.full((count,), 1e9, dtype=torch.float64)
        level[::2] = -1e9
        calls: list[int] = []
        method(_counted(world.model, calls), world.x, AtLeast(level), threat)
        most = max(calls[2:], default=0)
        hold(most <= count // 2, f"{method!r} spent passes on rows that were decided")


def _counted(model: Callable[[Tensor], Any], calls: list[int]) -> Callable[[Tensor], Any]:
    def called(x: Tensor) -> Any:
        calls.append(len(x))
        return model(x)

    return called


def law_same_dice_same_result(method: Attack) -> None:
    """Equal dice give equal changes."""
    method = brief(method)
    for world, threat in able(method):
        dice = [Dice.of(len(world.x), seed=7) for _ in range(2)]
        one, two = (method(world.model, world.x, world.goal, threat, dice=d) for d in dice)
        hold(torch.equal(one, two), f"{method!r} draws from elsewhere than its dice")


def law_rows_do_not_talk(method: Attack) -> None:
    """A row's result depends neither on the chunking nor on which other rows are there."""
    method = brief(method)
    for world, threat in able(method):
        whole = seek(method, world, threat)
        parts = seek(method, world, threat, chunk=3)
        gap = (whole.margin - parts.margin).abs().max()
        hold(gap < 1e-9, f"{method!r}: chunks of 3 change margins by {float(gap)}")
        rows = torch.arange(1, len(world.x), 2)
        own, goal = Dice.of(len(world.x)).part(rows), world.goal.take(rows)
        some = search(method, world.model, world.x[rows], goal, threat, dice=own)
        gap = (whole.margin[rows] - some.margin).abs().max()
        hold(gap < 1e-9, f"{method!r}: leaving rows out changes margins by {float(gap)}")


def law_leaves_no_trace(method: Attack) -> None:
    """Weights, their gradients, modes, buffers, hooks and all global random states stay.

    The inputs stay as well. It holds for the bare attack and for a search with a model in
    training mode, whose buffers would move.
    """
    method = brief(method)
    for world, threat in able(method):
        x = world.x.clone()
        with no_trace(method, world.model):
            method(world.model, x, world.goal, threat)
        hold(torch.equal(x, world.x), f"{method!r} changed its inputs")
        world.model.train()
        with no_trace(method, world.model):
            seek(method, world, threat)


def law_leaves_no_trace_when_stopped(method: Attack) -> None:
    """The same where Ctrl-C ends a search in the middle, whatever the mode of the model."""
    method = brief(method)
    for world, threat in able(method)[::2]:
        for training in (True, False):
            stopped_anywhere(
                method,
                world.model.train(training),
                partial(_searched, method, world, threat),
                (0, 1, 3),
            )


def _searched(method: Attack, world: World, threat: Threat, model: torch.nn.Module) -> Found:
    return search(method, model, world.x, world.goal, threat)


def law_empty_batches_work(method: Attack) -> None:
    """No rows in, no rows out."""
    method = brief(method)
    for world, threat in able(method):
        rows = torch.arange(0)
        goal: Goal = world.goal.take(rows)
        found = search(method, world.model, world.x[rows], goal, threat)
        hold(len(found.margin) == 0, f"{method!r} made rows out of nothing")
        hold(len(method(world.model, world.x[rows], goal, threat)) == 0, f"{method!r} made rows")


def law_keeps_the_type(method: Attack) -> None:
    """Changes have the type of the inputs, also in single precision."""
    method = brief(method)
    for world, threat in able(method):
        model, x = world.model.float(), single(world)
        change = method(model, x, world.goal, threat)
        hold(change.dtype == x.dtype, f"{method!r} returns {change.dtype} for {x.dtype}")


def law_needs_no_more_than_it_says(method: Attack) -> None:
    """An attack without gradient access never sends an input that asks for a gradient."""
    method = brief(method)
    if method.access is Access.GRADIENT:
        return
    for world, threat in able(method):
        asked: list[bool] = []

        def model(x: Tensor, world: World = world, asked: list[bool] = asked) -> Tensor:
            asked.append(x.requires_grad)
            return world.model(x).detach()  # type: ignore[no-any-return]

        method(model, world.x, world.goal, threat)
        hold(not any(asked), f"{method!r} asked for gradients with {method.access}")


def law_nothing_to_gain_at_radius_zero(method: Attack) -> None:
    """Where no change is admissible, the margin stays what it was."""
    method = brief(method)
    for world, threat in able(method):
        found = seek(method, world, threat.scaled(0.0))
        hold((found.margin - found.clean).abs().max() < 1e-9, f"{method!r} gained at radius 0")
