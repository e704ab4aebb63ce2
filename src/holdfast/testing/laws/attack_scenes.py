"""Where attacks are tried: worlds, threats, and what a law needs to look at them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from holdfast.core.catalog import build, resolve, with_settings
from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Access, Attack, Threat
from holdfast.run.search import Found, search
from holdfast.testing.laws import LawBroken, held
from holdfast.testing.worlds import Images, Linear, Tokens, two_class

World = Linear | Images | Tokens
FACTOR = {Access.GRADIENT: 1.05, Access.SCORE: 1.5, Access.DECISION: 3.0}


def scenes() -> Iterator[tuple[World, Threat]]:
    """Worlds and threats; the last has two parameters, for attacks of small threats."""
    flat, images, plane = two_class(rows=12), Images.make(), two_class(rows=8, size=2)
    yield flat, build("threat:linf", radius=0.05)
    yield flat, build("threat:l2", radius=0.1)
    yield images, build("threat:linf", radius=0.02)
    yield plane, build("threat:linf", radius=0.1)


def rare_scenes() -> Iterator[tuple[World, Threat]]:
    """Images and threats of a kind of their own, for attacks that refuse all other scenes."""
    yield Images.make(), build("threat:patch", height=2, width=3, clear=(2, 2, 1, 1))
    yield Images.make(), build("threat:l0", radius=4)


def token_scenes() -> Iterator[tuple[World, Threat]]:
    """Rows of token ids and threats to them, for attacks whose changes are whole numbers."""
    world = Tokens.make(rows=12, length=5, vocabulary=8)
    yield world, build("threat:substitutions", edits=2, vocabulary=8)
    yield world, build("threat:slots", token=0, vocabulary=8, forbid=(3,))
    yield (
        Tokens.make(rows=6, length=4, vocabulary=20),
        build("threat:residues", budget=8.0, sites=2),
    )


def single(world: World) -> Tensor:
    """The inputs in single precision, or the ids that they are."""
    return world.x.float() if world.x.is_floating_point() else world.x


def brief(method: Attack, **more: int) -> Attack:
    """The same attack with at most 12 steps, where it has steps: enough for all laws but one.

    Attacks on tokens get at most 4, with 5 proposals each. In a row, each of the
    attacks is made brief, with at most two restarts, targets and samples.
    """
    row = getattr(method, "attacks", ())
    if row:
        two = {"restarts": 2, "targets": 2, "samples": 2}
        return with_settings(method, attacks=tuple(brief(resolve(part), **two) for part in row))
    most = {"steps": 12, **more}
    if getattr(method, "discrete", False):
        most = {"steps": 4, "samples": 5}
    for name, value in most.items():
        own = getattr(method, name, 0)
        if isinstance(own, int) and own > value:
            method = with_settings(method, **{name: value})
    return method


def able(method: Attack) -> list[tuple[World, Threat]]:
    """The scenes that the attack does not refuse."""
    discrete = bool(getattr(method, "discrete", False))
    left = _taken(method, token_scenes() if discrete else scenes())
    left = left or _taken(method, rare_scenes())
    if not left:
        raise LawBroken(f"{method!r} raises Unsupported in every world")
    return left


def _taken(method: Attack, tried: Iterator[tuple[World, Threat]]) -> list[tuple[World, Threat]]:
    left, one = [], torch.arange(1)
    for world, threat in tried:
        try:
            # On a copy: what the attack does to a model must be seen by the laws, not before.
            copied = deepcopy(world.model)
            brief(method)(copied, world.x[one], world.goal.take(one), threat)
        except Unsupported:
            continue
        left.append((world, threat))
    return left


def hold(truth: bool | Tensor, says: str) -> None:
    """Raise with a sentence where something is not true."""
    held()
    if not bool(truth):
        raise LawBroken(says)


def seek(method: Attack, world: World, threat: Threat, **more: Any) -> Found:
    """What a search with the attack finds in a world."""
    return search(method, world.model, world.x, world.goal, threat, **more)
