"""Bad input: a clear error or a correct result, never silence."""

from __future__ import annotations

import warnings
from functools import cache

import pytest
import torch
from torch import nn

from holdfast.attacks.climb import slopes
from holdfast.attacks.decisions import bisected
from holdfast.attacks.pgd import PGD
from holdfast.attacks.smallest import Smallest
from holdfast.core.catalog import entries
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.goal import Targeted, Untargeted
from holdfast.run.search import search, stronger
from holdfast.testing.conform import subject_of
from holdfast.testing.laws.attack_scenes import able, brief
from holdfast.testing.worlds import Tokens, two_class
from holdfast.threats.grammar import parse
from holdfast.threats.norms import LInf

NET = nn.Linear(4, 3)
X, Y = torch.full((5, 4), 0.5), torch.zeros(5, dtype=torch.int64)


def sought(x=X, y=Y, model=NET, threat="linf:0.1"):
    return search(PGD(steps=3), model, x, Untargeted(y), parse(threat))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_inputs_that_are_no_numbers_are_refused(bad: float) -> None:
    x = X.clone()
    x[2, 1] = bad
    with pytest.raises(ShapeError, match="NaN or infinity"):
        sought(x)


@pytest.mark.parametrize(("y", "says"), [
    (Y + 3, "names no output"), (Y - 1, "names no output"), (Y[:3], "do not match"),
    (Y.float(), "whole"), (torch.cat([Y, Y]), "do not match"), (Y[:, None], "one per row"),
])  # fmt: skip
def test_labels_that_do_not_fit_are_refused(y: torch.Tensor, says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        sought(y=y)


@pytest.mark.parametrize("chunk", [None, 1, 2])
def test_more_labels_than_inputs_are_refused_in_any_chunk(chunk: int | None) -> None:
    with pytest.raises(ShapeError, match="do not match"):
        search(PGD(steps=3), NET, X, Untargeted(torch.cat([Y, Y])), LInf(radius=0.1), chunk=chunk)


@pytest.mark.parametrize("x", [255 * torch.rand(5, 4), 2 * torch.rand(5, 4) - 1, X + 0.6])
def test_inputs_outside_the_range_of_the_threat_are_not_passed_over(x: torch.Tensor) -> None:
    with pytest.warns(UserWarning, match=r"inputs lie in .* and linf:0.1 assumes \[0, 1\]"):
        sought(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sought(x, threat="linf:0.1:-1..255")
        sought(X + 0.5)


@pytest.mark.parametrize(("x", "says"), [
    (X[:, :3], "does not take inputs"), (X.double(), r"weights are torch\.float32"),
    (X.bfloat16(), r"weights are torch\.float32"),
])  # fmt: skip
def test_inputs_that_the_model_does_not_take_are_refused(x: torch.Tensor, says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        sought(x)


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16, torch.float16])
def test_models_of_other_types_are_attacked_in_theirs(kind: torch.dtype) -> None:
    found = sought(X.to(kind), model=nn.Linear(4, 3).to(kind))
    assert found.change.dtype == kind


ATTACKS = {e.key: e for e in entries("attack")}


@cache
def scene_of(key: str):  # type: ignore[no-untyped-def]
    """An attack with little to do, a world and a threat that it takes, rows that are safe."""
    method = brief(subject_of(ATTACKS[key]), steps=3, samples=4)
    world, threat = able(method)[0]
    with torch.no_grad():
        safe = (world.goal(world.model(world.x)) < 0).nonzero().flatten()[:4]
    return method, world.model, world.x[safe], world.goal.take(safe), world.y[safe], threat


@pytest.mark.parametrize("key", ATTACKS)
def test_every_attack_says_what_is_wrong_with_labels(key: str) -> None:
    method, model, x, _, y, threat = scene_of(key)
    for goal, says in (
        (Untargeted(y + 100), "names no output"), (Targeted(y + 100), "names no output"),
        (Untargeted(y[:-1]), "do not match"), (Targeted(torch.cat([y, y])), "do not match"),
    ):  # fmt: skip
        with pytest.raises(ShapeError, match=says):
            search(method, model, x, goal, threat)
    with pytest.raises((ShapeError, RuntimeError), match=r"names no output|out of bounds"):
        method(model, x, Untargeted(y + 100), threat)  # without the judge it is no worse


@pytest.mark.parametrize("key", ATTACKS)
def test_a_model_that_fails_under_a_change_is_not_robust(key: str) -> None:
    """Right without a change, no number with one: rows that were looked at are reported apart."""
    bad = (float("nan"), float("inf"), -float("inf"))[list(ATTACKS).index(key) % 3]
    method, model, x, goal, _, threat = scene_of(key)

    def failing(z):  # type: ignore[no-untyped-def]
        out = model(z)
        clean = torch.stack([(row == x).flatten(1).all(1).any() for row in z])
        return torch.where(clean[:, None], out, bad * torch.ones_like(out))

    found = search(method, failing, x, goal, threat)
    assert torch.equal(found.finite, ~found.broken) and found.broken.any()
    assert (found.margin[found.broken] == torch.inf).all()


@pytest.mark.parametrize("key", ATTACKS)
def test_at_radius_zero_nothing_is_gained(key: str) -> None:
    method, model, x, goal, _, threat = scene_of(key)
    none = threat.scaled(0.0)
    found = search(method, model, x, goal, none)
    assert not found.broken.any() and torch.equal(found.margin, found.clean)
    assert (none.size(x, found.change) <= 1).all()
    assert torch.equal(none.apply(x, found.change), x)


@pytest.mark.parametrize("threat", ["linf:0.1", "l2:1", "l1:1", "l0:2", "rotation:9", "patch:2x2"])
def test_whole_numbers_are_not_changed_by_shares_of_one(threat: str) -> None:
    with pytest.raises(Unsupported, match="whole numbers"):
        sought(torch.ones(5, 1, 4, 4).long(), model=lambda x: x.flatten(1)[:, :3].float(),
               threat=threat)  # fmt: skip


def test_whole_changes_have_no_slope() -> None:
    world = Tokens.make(rows=2)
    threat = parse("substitutions:2:12")
    with pytest.raises(Unsupported, match="no gradient"):
        slopes(world.model, world.x, Untargeted(world.y), threat, threat.none(world.x))


def test_models_without_parameters_and_radius_zero() -> None:
    found = sought(model=lambda x: x[:, :3] * 2, threat="linf:0")
    assert torch.equal(found.margin, found.clean)


def test_a_margin_too_small_for_a_half_wins_nothing() -> None:
    """Margins keep the type of the outputs: -1e-9 in single precision is 0 in half precision."""
    x = torch.full((3, 4), 0.5, dtype=torch.float16)
    found = sought(x, Y[:3], lambda x: torch.tensor([1e-9, 0.0]) + 0 * x[:, :2].float())
    assert not found.broken.any()


def test_bisection_ends_where_numbers_do() -> None:
    """A precision finer than the type can hold is never reached, and not waited for."""
    world = two_class(rows=4)
    known = Smallest(world.model, world.x, world.goal, LInf(radius=0.3), None, shrink=True)
    rows = known.still()
    change = rows.boxed(torch.where(rows.margins(1 - 2 * rows.x)[:, None] >= 0, 1.0, -1.0) * rows.x)
    bisected(known, rows, change, 1e-30)


def test_the_better_of_two_shared_changes_in_half_precision() -> None:
    low, high = torch.tensor([-2.0, -1.0]).half(), torch.tensor([-1.0, -1.0]).half()
    assert stronger(high, low) and not stronger(low, high)
