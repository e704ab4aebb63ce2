"""Norm balls on linear worlds, at the walls of the box, and their proposals."""

import pytest
import torch

from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.ops.geometry import norm
from holdfast.testing.worlds import two_class
from holdfast.threats.ball import Ball
from holdfast.threats.blocks import window
from holdfast.threats.norms import L1, L2, LInf

THREATS = [LInf(radius=0.05), L2(radius=0.1), L1(radius=0.2)]


@pytest.mark.parametrize("threat", THREATS, ids=lambda t: t.spec)
def test_one_projected_step_reaches_the_closed_form_on_a_linear_world(threat: Ball) -> None:
    world = two_class()
    gradient = world.ways()[0][:, 0]
    step = threat.project(world.x, threat.steepest(world.x, threat.none(world.x), gradient))
    reached = world.goal(threat.through(world.model, world.x, step))
    assert torch.allclose(reached, world.worst(threat.radius, threat.order), atol=1e-12)


@pytest.mark.parametrize("threat", THREATS, ids=lambda t: t.spec)
def test_radius_is_where_the_linear_world_breaks(threat: Ball) -> None:
    world = two_class()
    gradient = world.ways()[0][:, 0]
    for factor, wins in ((0.999, False), (1.001, True)):
        for i, limit in enumerate(world.radius(threat.order).tolist()):
            own, x = threat.scaled(factor * limit / threat.radius), world.x[i : i + 1]
            wide = type(threat)(radius=own.radius, low=-100.0, high=100.0)
            step = wide.steepest(x, wide.none(x), gradient[i : i + 1])
            margin = world.goal.take(slice(i, i + 1))(wide.through(world.model, x, step))
            assert bool(margin >= 0) is wins


def test_uniform_samples_of_linf_fill_ball_and_box() -> None:
    x = torch.tensor([[0.0, 0.02, 0.5, 1.0]], dtype=torch.float64).expand(4000, 4)
    change = LInf(radius=0.1).sample(x, Dice.of(4000))
    low, high = torch.tensor([0, -0.02, -0.1, -0.1]), torch.tensor([0.1, 0.1, 0.1, 0])
    assert torch.allclose(change.mean(0), ((low + high) / 2).double(), atol=0.004)
    assert torch.allclose(change.std(0), ((high - low) / 12**0.5).double(), atol=0.003)


@pytest.mark.parametrize(("threat", "order"), [(L2(radius=0.2), 2), (L1(radius=0.2), 1)])
def test_samples_are_uniform_in_the_ball(threat: Ball, order: int) -> None:
    """Away from the walls P(size <= s) = s^n."""
    x = torch.full((4000, 3), 0.5, dtype=torch.float64)
    size = threat.size(x, threat.sample(x, Dice.of(4000)))
    for s in (0.5, 0.8, 0.95):
        assert float((size <= s).double().mean()) == pytest.approx(s**3, abs=0.025)


def test_an_input_outside_of_the_box_may_stay_but_go_no_further() -> None:
    x = torch.tensor([[1.2, -0.1, 0.5]], dtype=torch.float64)
    threat = LInf(radius=0.3)
    assert torch.equal(threat.apply(x, threat.none(x)), x)
    away = threat.project(x, torch.tensor([[1.0, -1.0, 1.0]], dtype=torch.float64))
    assert torch.allclose(away, torch.tensor([[0.0, 0.0, 0.3]], dtype=torch.float64))
    back = threat.project(x, torch.tensor([[-1.0, 1.0, -1.0]], dtype=torch.float64))
    assert torch.allclose(back, torch.tensor([[-0.3, 0.3, -0.3]], dtype=torch.float64))


def test_a_change_outside_of_ball_or_box_is_not_admissible() -> None:
    x = torch.tensor([[0.95, 0.5]], dtype=torch.float64)
    threat = LInf(radius=0.1)
    assert threat.size(x, torch.tensor([[0.0, 0.2]], dtype=torch.float64)).item() == 2
    assert threat.size(x, torch.tensor([[0.1, 0.0]], dtype=torch.float64)).item() == float("inf")
    assert threat.scaled(0).size(x, torch.tensor([[0.0, 0.1]])).item() == float("inf")


def test_gradients_pass_at_and_beyond_the_walls() -> None:
    """Rounding may put x + (high - x) above high; a clamp would then stop the ascent for good."""
    x = torch.rand(1000, 3)
    change = (1 - x).requires_grad_()
    y = LInf(radius=1.0).apply(x, change)
    (gradient,) = torch.autograd.grad(y.sum(), change)
    assert y.max() <= 1
    assert (gradient == 1).all()


@pytest.mark.parametrize(("shape", "cells"), [((3, 16, 16), 64), ((2, 20), 5), ((50,), None)])
def test_windows_are_blocks_of_the_given_share(shape: tuple[int, ...], cells: int | None) -> None:
    mask = window(torch.zeros(200, *shape), 0.25, Dice.of(200))
    if cells is None:
        assert float(mask.double().mean()) == pytest.approx(0.25, abs=0.02)
    else:
        assert (mask[:, 0].flatten(1).sum(1) == cells).all()
        assert (mask == mask[:, :1]).all()
    assert window(torch.zeros(50, *shape), 1e-9, Dice.of(50)).flatten(1).any(1).all()


@pytest.mark.parametrize("threat", [L2(radius=0.3), L1(radius=0.3)], ids=lambda t: t.spec)
def test_neighbours_spend_the_whole_budget(threat: Ball) -> None:
    x = torch.full((30, 1, 8, 8), 0.5, dtype=torch.float64)
    change = threat.near(x, threat.sample(x, Dice.of(30)), 0.2, Dice.of(30))
    assert torch.allclose(norm(change, threat.order), torch.full((30,), 0.3).double())


def test_a_negative_radius_is_refused() -> None:
    with pytest.raises(ConfigError, match="radius"):
        L2(radius=-0.1)
