"""The tap: stages that sum to what was counted, and keep what was set aside."""

from __future__ import annotations

import torch

from holdfast.core.kinds import Access
from holdfast.run.passes import Passes, Tap, broke, enter
from holdfast.run.search import search
from holdfast.run.stages import Ledger
from holdfast.testing.worlds import two_class
from holdfast.threats.norms import LInf


def test_passes_belong_to_the_stage_that_is_open():
    tap = Tap(lambda x: 2 * x, Access.GRADIENT, "a")
    tap.enter("first", 3)
    x = torch.ones(3, 2, requires_grad=True)
    tap(x).sum().backward()
    tap.enter("second", 2)
    tap(x[:2])
    tap.broke(torch.tensor([1]))
    stages = tap.stages()
    assert [(s.name, s.rows, s.forwards, s.backwards) for s in stages] == [
        ("a: first", 3, 3, 3), ("a: second", 2, 2, 0)
    ]  # fmt: skip
    assert tap.passes == Passes(5, 3) and tap.breaker(3) == ["", "a: second", ""]
    assert tap.stages() == stages


def test_rows_that_are_set_aside_stay_in_the_ledger_though_nothing_was_spent_on_them():
    tap = Tap(lambda x: x, Access.SCORE, "a")
    tap.enter("", 4)
    tap(torch.ones(4, 2))
    enter(tap, "set aside", 0, aside=3)
    enter(tap, "last", 1)
    stages = tap.stages()
    assert [(s.name, s.rows, s.aside) for s in stages] == [
        ("a", 4, 0), ("a: set aside", 0, 3), ("a: last", 1, 0)
    ]  # fmt: skip
    ledger = Ledger((), None, 4)
    ledger.add(stages, [], [])
    assert sum(stage.aside for stage in ledger.closed()[0]) == 3


def test_a_search_keeps_what_an_attack_sets_aside():
    world, told = two_class(rows=6), []

    class Hopeless:
        access = Access.SCORE

        def __call__(self, model, x, goal, threat, *, dice=None):
            enter(model, "hopeless", 0, aside=len(x))
            broke(model, torch.arange(0))
            told.append(len(x))
            return threat.none(x)

    found = search(Hopeless(), world.model, world.x, world.goal, LInf(radius=1e-6), chunk=4)
    assert sum(stage.aside for stage in found.stages) == sum(told) > 0
    assert sum(stage.forwards for stage in found.stages) == found.passes.forwards
