"""Where certifiers are tried: worlds, the functions to be certified, and threats."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.defend.smoothed import smoothed
from holdfast.testing.laws import LawBroken
from holdfast.testing.worlds import Images, Linear, TinyReLU, Tokens, three_class
from holdfast.threats.norms import L1, L2, LInf
from holdfast.threats.slots import Slots
from holdfast.threats.tokens import Substitutions

World = Linear | Images | TinyReLU | Tokens
KEYS = torch.tensor([7, 3, 11, 0, 5, 2])


def forms(certifier: Certifier) -> list[Callable[[nn.Module], Model]]:
    """What becomes of a plain model before it is certified: nothing, noise around it, and what the
    certifier itself asks for, if it covers models of one form only (`subject(model)`)."""
    own = getattr(certifier, "subject", None)
    return [lambda m: m, lambda m: smoothed(m, sigma=0.1), *([own] if callable(own) else [])]


def scenes(certifier: Certifier) -> Iterator[tuple[World, Model, Threat]]:
    """Worlds, the function to be certified, and threats that the certifier accepts."""
    answered = False
    for world, model, threat in _token_scenes(certifier):
        answered = True
        yield world, model, threat
    for world in (three_class(rows=6), TinyReLU.make(rows=6), Images.make(rows=6)):
        for model in (form(world.model) for form in forms(certifier)):
            for threat in (LInf(radius=0.02), L2(radius=0.05), L1(radius=0.1)):
                try:
                    certifier(model, world.x[:1], world.goal.take(slice(0, 1)), threat)
                except Unsupported:
                    continue
                answered = True
                yield world, model, threat
    if not answered:
        raise LawBroken(f"{certifier!r} refuses every world")


def _token_scenes(certifier: Certifier) -> Iterator[tuple[World, Model, Threat]]:
    """Token worlds and threats, for certifiers whose changes are whole numbers (`discrete`)."""
    if not getattr(certifier, "discrete", False):
        return
    world = Tokens.make(rows=6)
    for form in forms(certifier):
        for threat in (Slots(token=0, vocabulary=12), Substitutions(edits=1, vocabulary=12)):
            model = form(world.model)
            try:
                certifier(model, world.x[:1], world.goal.take(slice(0, 1)), threat)
            except Unsupported:
                continue
            yield world, model, threat


def ask(certifier: Certifier, world: World, model: Model, threat: Threat) -> Certificate:
    """What a certifier says of all rows of a world, a margin for each of them."""
    found = certifier(model, world.x, world.goal, threat, dice=Dice(1, KEYS))
    if found.margin.shape != (len(world.x),):
        raise LawBroken(f"{certifier!r}: margin is {tuple(found.margin.shape)}, not (B,)")
    return found


def same(a: Tensor, b: Tensor, says: str, tolerance: float = 1e-9) -> None:
    """Raise with a sentence unless two tensors agree."""
    if a.shape != b.shape or not torch.allclose(a, b, rtol=tolerance, atol=tolerance):
        raise LawBroken(says)
