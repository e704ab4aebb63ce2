"""Few positions: what a step gains against enumeration, and what may change."""

from itertools import combinations

import pytest
import torch

from holdfast.attacks.pgd import PGD
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import AtLeast
from holdfast.testing.worlds import two_class
from holdfast.threats.grammar import parse
from holdfast.threats.sparse import L0


def test_a_projected_step_is_the_best_of_all_sets_of_positions():
    """Where all rooms are equal, so that the largest gradients are worth most."""
    g = torch.Generator().manual_seed(1)
    x = torch.full((10, 7), 0.5, dtype=torch.float64)
    gradient = torch.randn(10, 7, generator=g, dtype=torch.float64)
    threat = L0(radius=3.0)
    none = threat.none(x)
    step = threat.project(x, none + threat.steepest(x, none, gradient))
    assert (threat.size(x, step) == 1).all()
    for row in range(10):
        gains = 0.5 * gradient[row].abs()
        best = max(float(gains[list(c)].sum()) for c in combinations(range(7), 3))
        assert float((gradient[row] * step[row]).sum()) == pytest.approx(best)


def test_text_counts_and_box():
    threat = parse("l0:4")
    assert threat == L0(radius=4.0) and parse("l0:2:-1..1") == L0(radius=2.0, low=-1.0, high=1.0)
    x = torch.rand(3, 3, 5, 5)
    change = threat.project(x, torch.randn(3, 3, 5, 5))
    assert ((change != 0).any(1).flatten(1).sum(1) == 4).all()
    assert torch.allclose(threat.size(x, change), torch.ones(3))
    assert torch.allclose(threat.scaled(0.5).size(x, change), torch.full((3,), 2.0))
    y = threat.apply(x, change)
    assert ((y >= 0) & (y <= 1)).all()
    assert (threat.size(x, 2 * torch.ones_like(x)) == torch.inf).all()
    assert (L0(radius=1.9).project(x, change) != 0).any(1).flatten(1).sum(1).tolist() == [1, 1, 1]


@pytest.mark.parametrize("shape", [(40,), (3, 6, 6)])
def test_a_neighbour_frees_some_positions_and_takes_as_many_others(shape):
    x = 0.2 + 0.6 * torch.rand(8, *shape)
    threat, dice = L0(radius=6.0), Dice.of(8)
    change = threat.sample(x, dice)
    moved = threat.near(x, change, 0.5, dice)
    used, new = ((c != 0).flatten(2).any(1) if x.dim() > 2 else c != 0 for c in (change, moved))
    assert (used.sum(1) == 6).all() and (new.sum(1) == 6).all()
    assert ((used & new).sum(1) == 3).all() and ((new & ~used).sum(1) == 3).all()
    faces = threat.apply(x, moved)[(moved != change) & (moved != 0)]
    assert ((faces == 0) | (faces == 1)).all()
    guided = threat.near(x, change, 1.0, dice, gradient=torch.ones_like(x))
    assert (guided >= 0).all()


def test_gradient_ascent_comes_close_to_the_best_positions():
    """On a linear model the best are known; a level out of reach keeps every row climbing."""
    world = two_class(rows=24, size=12)
    weights, values = world.ways()
    room = torch.where(weights[:, 0] > 0, 1 - world.x, world.x)
    gains = (weights[:, 0].abs() * room).sort(dim=1, descending=True).values[:, :2].sum(1)

    def model(x):
        z = world.model(x)
        return (z.gather(1, 1 - world.y[:, None]) - z.gather(1, world.y[:, None])) / gains[:, None]

    level = values[:, 0] / gains + 1
    change = PGD()(model, world.x, AtLeast(level + 1e-6), L0(radius=2.0))
    reached = model(world.x + change)[:, 0].detach() - values[:, 0] / gains
    assert (reached <= 1 + 1e-9).all()
    assert float(reached.median()) >= 0.95 and float(reached.amin()) >= 0.5


def test_linear_bounds_refuse_it():
    from holdfast.certify.linear.crown import CROWN

    world = two_class(rows=4)
    with pytest.raises(Unsupported):
        CROWN()(world.model, world.x, world.goal, L0(radius=1.0))
