"""What one step of an ascent does besides the model's passes: operations counted, never timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from tests.operations import Operations
from torch import Tensor, nn

from holdfast.attacks.active import Active
from holdfast.attacks.climb import slopes
from holdfast.attacks.pgd import PGD
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.threats.ball import Additive, adds
from holdfast.threats.norms import L2, LInf

RADIUS = 1e-4  # no row breaks
Runner = Callable[[nn.Module, Tensor, Tensor, int], Tensor]


def world() -> tuple[nn.Module, Tensor, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
        x = torch.rand(12, 6) * 0.5 + 0.25
    with torch.no_grad():
        return model, x, model(x).argmax(1)


def by_hand(model: nn.Module, x: Tensor, y: Tensor, steps: int) -> Tensor:
    low, high = (x - RADIUS).clamp(min=0), (x + RADIUS).clamp(max=1)
    moved = x.clone()
    for _ in range(steps):
        moved.requires_grad_()
        z = model(moved)
        (slope,) = torch.autograd.grad(F.cross_entropy(z, y, reduction="sum"), moved)
        moved, held = moved.detach(), z.argmax(1) == y
        if not bool(held.all()):
            break
        moved = torch.min(torch.max(moved + 2.5 * RADIUS / steps * slope.sign(), low), high)
    return moved


def ours(model: nn.Module, x: Tensor, y: Tensor, steps: int) -> Tensor:
    attack = PGD(steps=steps, climb="soft", start="none")
    return attack(model, x, Untargeted(y), LInf(radius=RADIUS), dice=Dice.of(len(x)))


def operations(attack: Runner) -> Counter[str]:
    """Operations of one step: those of an attack of nine without those of one of eight."""
    attack(*world(), 8)  # what is looked up once is known from here on
    counts = []
    for steps in (8, 9):
        with Operations() as seen:
            attack(*world(), steps)
        counts.append(seen.count)
    counts[1].subtract(counts[0])
    return counts[1]


def test_a_step_takes_few_operations_more_than_one_by_hand() -> None:
    mine, theirs = operations(ours), operations(by_hand)
    # The ball around the input, the best change so far, outputs and slopes that are no numbers.
    assert (mine.total(), theirs.total()) == (42, 29), mine - theirs


def test_rows_that_leave_take_few_operations() -> None:
    """Each tensor that has a row per input is selected once, what was found is kept once."""
    model, x, y = world()
    active = Active(model, x, Untargeted(y), LInf(radius=RADIUS), Dice.of(len(x)))
    change, margin = torch.zeros_like(x), torch.full((len(x),), -1.0)
    active.see(change, margin)
    outputs, counts = model(x).detach(), []
    active.goal.ways(outputs)
    for value in (-1.0, 1.0):
        margin = margin.index_fill(0, torch.tensor(3), value)
        with Operations() as seen:
            active.see(change, margin)
            active.goal.ways(outputs[: len(active)])
        counts.append(seen.count.total())
    assert len(active) == len(x) - 1
    assert counts[1] - counts[0] == 11, seen.count


class Doubled(LInf):
    """Adds each change twice."""

    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        return Additive.apply(self, x, 2 * change)


@pytest.mark.parametrize("threat", [LInf(radius=0.4), L2(radius=0.9), Doubled(radius=0.4)])
def test_the_gradient_at_the_changed_input_is_that_of_the_change(threat: LInf | L2) -> None:
    model, x, y = world()
    assert adds(threat) is not isinstance(threat, Doubled)
    goal, change = Untargeted(y), threat.sample(x, Dice.of(len(x)))
    margin, gradient, height = slopes(model, x, goal, threat, change)
    moved = change.clone().requires_grad_()
    outputs = threat.through(model, x, moved)  # some coordinates are at the edge of the box
    naive = torch.logsumexp(goal.ways(outputs), -1)
    (expected,) = torch.autograd.grad(naive.sum(), moved)
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(height(), naive.detach())
    assert torch.equal(margin, goal(outputs).detach())
