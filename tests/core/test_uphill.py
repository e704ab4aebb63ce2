"""Slopes of the smooth margin by formula, against autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from holdfast.attacks.climb import soft
from holdfast.core.endless import LargestLoss
from holdfast.core.goal import AtLeast, Targeted, Untargeted
from holdfast.core.margin import Goal

Y = torch.tensor([0, 3, 1, 2, 0, 3, 1, 2])


def scores(kind: str, dtype: torch.dtype) -> Tensor:
    z = 3 * torch.randn(8, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    if kind == "huge":
        z = z * 1e4
    if kind == "tied":
        z = z.round().clamp(-1, 1)
    if kind == "broken":
        z[0, 1], z[1, 3], z[2, 0], z[3], z[4, 2] = torch.inf, torch.inf, -torch.inf, 0.0, torch.nan
    return z.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", ["plain", "huge", "tied", "broken"])
@pytest.mark.parametrize("labels", [Y, Y.where(Y != 3, -100)], ids=["all", "some"])
@pytest.mark.parametrize("wrap", [lambda goal: goal, LargestLoss], ids=["margin", "endless"])
def test_the_formula_is_what_autograd_finds(
    wrap: type[LargestLoss], labels: Tensor, kind: str, dtype: torch.dtype
) -> None:
    goal: Goal = wrap(Untargeted(labels))
    z = scores(kind, dtype).requires_grad_()
    found = goal.uphill((z, z * 2))
    assert found is not None and not found.slope.requires_grad
    height = soft(goal, z)
    (slope,) = torch.autograd.grad(height.sum(), z)
    lost = slope.isnan().any(1, keepdim=True)  # one NaN spoils a row on the way back
    known = z.gather(1, labels.clamp(min=0)[:, None]).isposinf()  # not by formula, here
    assert torch.equal(lost, found.slope.isnan().any(1, keepdim=True) | known & lost)
    slope, ours = (each.masked_fill(lost, torch.nan) for each in (slope, found.slope))
    few = 4 * torch.finfo(dtype).eps  # of rounding: the two divide and add in different orders
    for mine, theirs in ((found.margin, goal(z)), (found.height(), height), (ours, slope)):
        torch.testing.assert_close(mine, theirs, rtol=few, atol=few, equal_nan=True)


def test_rows_that_are_taken_keep_their_labels() -> None:
    z, rows = scores("plain", torch.float64), torch.tensor([6, 1])
    whole, some = Untargeted(Y).uphill(z), Untargeted(Y).take(rows).uphill(z[rows])
    assert whole is not None and some is not None
    assert torch.equal(whole.slope[rows], some.slope)


@pytest.mark.parametrize("goal", [Targeted(Y), AtLeast(torch.zeros(8)), LargestLoss(Targeted(Y))])
def test_goals_without_a_formula_say_so(goal: Goal) -> None:
    assert goal.uphill(scores("plain", torch.float64)) is None
