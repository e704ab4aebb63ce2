"""Laws of defences: at strength 0 they are the model, and what they return is a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch

from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.testing.laws import LawBroken
from holdfast.testing.traces import no_trace
from holdfast.testing.worlds import Images, three_class

# The setting that measures how strong a defence is, and its value at strength 0.
STRENGTHS = {"sigma": 0.0, "temperature": 1.0, "strength": 0.0, "share": 0.0, "weight": 0.0}


def _at_zero(defence: Any, model: Model) -> Any:
    """The defence at strength 0, if it names its strength by one of the common words."""
    if is_dataclass(defence):
        named = [f.name for f in fields(defence) if f.name in STRENGTHS]
        weak: Any = replace(defence, **{n: STRENGTHS[n] for n in named})  # type: ignore[type-var]
        return weak(model) if named else None
    named = [n for n in inspect.signature(defence).parameters if n in STRENGTHS]
    return defence(model, **{n: STRENGTHS[n] for n in named}) if named else None


def law_at_strength_zero_it_is_the_model(defence: Callable[..., Model]) -> None:
    """With its strength at zero the outputs are those of the model itself."""
    for world in (three_class(), Images.make()):
        made = _at_zero(defence, world.model)
        if made is None:
            continue
        with torch.no_grad():
            mine, theirs = logits(made(world.x)), logits(world.model(world.x))
        if not torch.allclose(mine, theirs, rtol=1e-9, atol=1e-9):
            raise LawBroken(f"{defence!r} at strength 0 is not the model")


def law_returns_a_model(defence: Callable[..., Model]) -> None:
    """What it returns maps inputs to finite logits of the same shape and type, rows first."""
    for world in (three_class(), Images.make()):
        with torch.no_grad():
            mine = logits(defence(world.model)(world.x))
            theirs = logits(world.model(world.x))
        if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
            raise LawBroken(f"{defence!r} returns {mine.dtype} {tuple(mine.shape)}")
        if not bool(mine.isfinite().all()):
            raise LawBroken(f"{defence!r} returns outputs that are not finite")


def law_is_deterministic(defence: Callable[..., Model]) -> None:
    """The same input gives the same output, in whatever batch it stands."""
    for world in (three_class(), Images.make()):
        made = defence(world.model)
        with torch.no_grad():
            whole, again = logits(made(world.x)), logits(made(world.x))
            alone = logits(made(world.x[2:4]))
        if not torch.equal(whole, again):
            raise LawBroken(f"{defence!r} answers differently the second time")
        if not torch.allclose(whole[2:4], alone, rtol=1e-9, atol=1e-9):
            raise LawBroken(f"{defence!r}: rows depend on each other")


def law_an_empty_batch_works(defence: Callable[..., Model]) -> None:
    """No rows in, no rows out."""
    world = three_class()
    with torch.no_grad():
        out = logits(defence(world.model)(world.x[:0]))
    if out.shape != (0, 3):
        raise LawBroken(f"{defence!r}: an empty batch gives {tuple(out.shape)}")


def law_can_be_attacked(defence: Callable[..., Model]) -> None:
    """The gradient of its outputs reaches the input: it is attacked as a whole."""
    world = three_class()
    x = world.x.clone().requires_grad_(True)
    out = logits(defence(world.model)(x)).sum(0)[0]
    gradient = None
    if out.requires_grad:
        (gradient,) = torch.autograd.grad(out, x, allow_unused=True)
    if gradient is None or not bool((gradient != 0).any()):
        raise LawBroken(f"{defence!r} hides the gradient of the model")


def law_leaves_the_model_as_it_was(defence: Callable[..., Model]) -> None:
    """Weights, modes, hooks and global random states are untouched."""
    world = Images.make()
    with no_trace(defence, world.model), torch.no_grad():
        defence(world.model)(world.x)
