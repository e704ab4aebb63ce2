"""Laws of measures: every number has its interval, and nothing is left behind."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from holdfast.core.errors import HoldfastError
from holdfast.core.kinds import Measure, readings
from holdfast.testing.laws import LawBroken
from holdfast.testing.laws.measure_scenes import asked, first_of, scene
from holdfast.testing.traces import no_trace, stopped_anywhere
from holdfast.testing.worlds import draws


def law_every_number_has_its_interval(method: Measure) -> None:
    """Every reading is named, finite and inside its own interval, with its count."""
    found = readings(asked(method)())
    if not found:
        raise LawBroken("gives no reading")
    for r in found:
        if not (r.low <= r.value <= r.high and abs(r.value) < float("inf") and r.n > 0):
            raise LawBroken(f"{r.name}: {r.low} <= {r.value} <= {r.high}, n = {r.n}")
    if len({r.name for r in found}) != len(found):
        raise LawBroken("two readings share a name")


def law_repeatable_and_silent(method: Measure) -> None:
    """The same question has the same answer, and global random state is not touched."""
    ask = asked(method)
    state = torch.random.get_rng_state()
    if readings(ask()) != readings(ask()):
        raise LawBroken("the same question has two answers")
    if not torch.equal(state, torch.random.get_rng_state()):
        raise LawBroken("touches the global random state")


def law_says_so_without_rows(method: Any) -> None:
    """Without rows it refuses, or its numbers say that they rest on none."""
    try:
        found = readings(asked(method, rows=0)())
    except HoldfastError:
        return
    if any(r.n > 0 or r.low == r.high for r in found):
        raise LawBroken("is sure of a number that rests on no row")


def law_leaves_the_model_as_it_was(method: Any) -> None:
    """Weights, gradients, flags, modes and hooks of a measured model stay, stopped or not."""
    here = scene(method, rows=20)
    for model in here.models:
        with no_trace(method, model):
            method(*here.arguments)

    for place, given in enumerate(here.arguments):
        if isinstance(given, nn.Module):

            def ask(fragile: nn.Module, place: int = place) -> Any:
                return method(*here.arguments[:place], fragile, *here.arguments[place + 1 :])

            stopped_anywhere(method, given, ask, (0, 1, 3))


def law_order_of_rows_does_not_matter(method: Any) -> None:
    """The value does not depend on the order of the rows (measures of outputs)."""
    if first_of(method) != "outputs":
        return
    z, y = scene(method).arguments
    order = torch.randperm(40, generator=draws(4))
    a, b = readings(method(z, y)), readings(method(z[order], y[order]))
    if any(abs(u.value - v.value) > 1e-9 for u, v in zip(a, b, strict=True)):
        raise LawBroken("the value depends on the order of the rows")
