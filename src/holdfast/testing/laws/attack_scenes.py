"""Where attacks are tried: worlds, threats, and what a law needs to look at them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from holdfast.core.catalog import build, with_settings
from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Access, Attack, Threat
from holdfast.run.search import Found, search
from holdfast.testing.laws import LawBroken
from holdfast.testing.worlds import Images, Linear, two_class

World = Linear | Images
FACTOR = {Access.GRADIENT: 1.05, Access.SCORE: 1.5, Access.DECISION: 3.0}


def scenes() -> Iterator[tuple[World, Threat]]:
    """Worlds and threats; the last has two parameters, for attacks of small threats."""
    flat, images, plane = two_class(rows=12), Images.make(), two_class(rows=8, size=2)
    yield flat, build("threat:linf", radius=0.05)
    yield flat, build("threat:l2", radius=0.1)
    yield images, build("threat:linf", radius=0.02)
    yield plane, build("threat:linf", radius=0.1)


def brief(method: Attack) -> Attack:
    """The same attack with at most 12 steps, where it has steps: enough for all laws but one."""
    steps = getattr(method, "steps", 0)
    return with_settings(method, steps=12) if isinstance(steps, int) and steps > 12 else method


def able(method: Attack) -> list[tuple[World, Threat]]:
    """The scenes that the attack does not refuse."""
    left, one = [], torch.arange(1)
    for world, threat in scenes():
        try:
            # On a copy: what the attack does to a model must be seen by the laws, not before.
            copied = deepcopy(world.model)
            brief(method)(copied, world.x[one], world.goal.take(one), threat)
        except Unsupported:
            continue
        left.append((world, threat))
    if not left:
        raise LawBroken(f"{method!r} raises Unsupported in every world")
    return left


def hold(truth: bool | Tensor, says: str) -> None:
    """Raise with a sentence where something is not true."""
    if not bool(truth):
        raise LawBroken(says)


def seek(method: Attack, world: World, threat: Threat, **more: Any) -> Found:
    """What a search with the attack finds in a world."""
    return search(method, world.model, world.x, world.goal, threat, **more)
