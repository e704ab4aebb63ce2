"""Laws of measures: every number has its interval, and nothing is left behind."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

from holdfast.core.data import Batches
from holdfast.core.errors import HoldfastError
from holdfast.core.kinds import Measure, readings
from holdfast.testing.laws import LawBroken
from holdfast.testing.traces import no_trace, stopped_anywhere
from holdfast.testing.worlds import TinyReLU, draws


def _asked(method: Any, rows: int = 40) -> Callable[[], Any]:
    """The measure, ready to be asked in the world that its first argument names."""
    first = next(iter(inspect.signature(method).parameters), "")
    world = TinyReLU.make(rows=rows)
    y = torch.where(torch.rand(rows, generator=draws(3)) < 0.2, (world.y + 1) % 3, world.y)
    if first == "outputs":
        with torch.no_grad():
            z = world.model(world.x)
        return lambda: method(z, y)
    if first == "model":
        batches = Batches(x=world.x, y=y, size=16)
        return lambda: method(world.model, batches)
    raise LawBroken(f"a measure of {first!r} has no world yet: add one to this file")


def law_every_number_has_its_interval(method: Measure) -> None:
    """Every reading is named, finite and inside its own interval, with its count."""
    found = readings(_asked(method)())
    if not found:
        raise LawBroken("gives no reading")
    for r in found:
        if not (r.low <= r.value <= r.high and abs(r.value) < float("inf") and r.n > 0):
            raise LawBroken(f"{r.name}: {r.low} <= {r.value} <= {r.high}, n = {r.n}")
    if len({r.name for r in found}) != len(found):
        raise LawBroken("two readings share a name")


def law_repeatable_and_silent(method: Measure) -> None:
    """The same question has the same answer, and global random state is not touched."""
    ask = _asked(method)
    state = torch.random.get_rng_state()
    if readings(ask()) != readings(ask()):
        raise LawBroken("the same question has two answers")
    if not torch.equal(state, torch.random.get_rng_state()):
        raise LawBroken("touches the global random state")


def law_says_so_without_rows(method: Any) -> None:
    """Without rows it refuses, or its numbers say that they rest on none."""
    first = next(iter(inspect.signature(method).parameters), "")
    world, none = TinyReLU.make(rows=2), torch.zeros(0, dtype=torch.int64)
    try:
        if first == "outputs":
            found = readings(method(torch.zeros(0, 3, dtype=torch.float64), none))
        else:
            found = readings(method(world.model, Batches(x=world.x[:0], y=none)))
    except HoldfastError:
        return
    if any(r.n > 0 or r.low == r.high for r in found):
        raise LawBroken("is sure of a number that rests on no row")


def law_leaves_the_model_as_it_was(method: Any) -> None:
    """Weights, gradients, flags, modes and hooks of a measured model stay, stopped or not."""
    if next(iter(inspect.signature(method).parameters), "") != "model":
        return
    world = TinyReLU.make(rows=20)
    batches = Batches(x=world.x, y=world.y)
    with no_trace(method, world.model):
        method(world.model, batches)
    stopped_anywhere(method, world.model, lambda model: method(model, batches), (0, 1, 3))


def law_order_of_rows_does_not_matter(method: Any) -> None:
    """The value does not depend on the order of the rows (measures of outputs)."""
    if next(iter(inspect.signature(method).parameters), "") != "outputs":
        return
    world = TinyReLU.make(rows=40)
    with torch.no_grad():
        z = world.model(world.x)
    y = (world.y + (torch.arange(40) % 5 == 0)) % 3
    order = torch.randperm(40, generator=draws(4))
    a, b = readings(method(z, y)), readings(method(z[order], y[order]))
    if any(abs(u.value - v.value) > 1e-9 for u, v in zip(a, b, strict=True)):
        raise LawBroken("the value depends on the order of the rows")
