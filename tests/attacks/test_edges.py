"""Bad input: a clear error or a correct result, never silence."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from holdfast.attacks.climb import ascend
from holdfast.attacks.decisions import bisected
from holdfast.attacks.pgd import PGD
from holdfast.attacks.smallest import Smallest
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.goal import Untargeted
from holdfast.run.search import search, stronger
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
    (Y + 3, "no logit"), (Y - 1, "no class"), (Y[:3], "do not match"), (Y.float(), "whole"),
])  # fmt: skip
def test_labels_that_do_not_fit_are_refused(y: torch.Tensor, says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        sought(y=y)


@pytest.mark.parametrize("threat", ["linf:0.1", "l2:1", "l1:1", "l0:2", "rotation:9", "patch:2x2"])
def test_whole_numbers_are_not_changed_by_shares_of_one(threat: str) -> None:
    with pytest.raises(Unsupported, match="whole numbers"):
        sought(torch.ones(5, 1, 4, 4).long(), model=lambda x: x.flatten(1)[:, :3].float(),
               threat=threat)  # fmt: skip


def test_whole_changes_have_no_slope() -> None:
    world = Tokens.make(rows=2)
    threat = parse("substitutions:2:12")
    with pytest.raises(Unsupported, match="no gradient"):
        ascend(world.model, world.x, Untargeted(world.y), threat, threat.none(world.x))


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
