"""Certificates against vector fields: sound against attacks, exact where the model is linear."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.certify.spatial import Spatial
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Untargeted
from holdfast.ops.bilinear import displaced
from holdfast.run.search import search
from holdfast.testing.worlds import Images, three_class
from holdfast.threats.flow import Flow


def linear(size: int = 4, channels: int = 1) -> nn.Module:
    g = torch.Generator().manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, 2))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g))
    return model.double()


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize(("smooth", "dtype"), [(None, torch.float32), (0.05, torch.float64)])
def test_no_flow_beats_it(norm: str, smooth: float | None, dtype: torch.dtype) -> None:
    world = Images.make(rows=3)
    model, x = world.model.to(dtype), world.x.to(dtype)
    threat = Flow(pixels=0.7, norm=norm, smooth=smooth)
    found = Spatial(intermediate="ibp")(model, x, world.goal, threat).margin
    best = search(PGD(steps=15), model, x, world.goal, threat).margin.double()
    for seed in range(10):
        change = threat.project(x, 3 * threat.sample(x, Dice.of(3, seed)))
        with torch.no_grad():
            best = torch.maximum(best, world.goal(threat.through(model, x, change)).double())
    assert bool((best <= found).all())


def test_free_flows_of_a_linear_model_are_bounded_exactly() -> None:
    """Each pixel takes its own extreme: the box is attained at a corner of the displacements."""
    model, g = linear(), torch.Generator().manual_seed(2)
    x = torch.rand(3, 1, 4, 4, generator=g).double()
    goal = Untargeted(torch.zeros(3, dtype=torch.long))
    reach = 0.6
    found = Spatial()(model, x, goal, Flow(pixels=reach)).margin
    flat = torch.ones(3, 4, 4).double()
    ends = [
        displaced(x, u * flat, w * flat) for u in (-reach, 0, reach) for w in (-reach, 0, reach)
    ]
    low, high = torch.stack(ends).amin(0), torch.stack(ends).amax(0)
    with torch.no_grad():
        w, b = model[1].weight[1] - model[1].weight[0], model[1].bias[1] - model[1].bias[0]
        c = w.reshape(1, 1, 4, 4)
        exact = (c.clamp(min=0) * high + c.clamp(max=0) * low).sum((1, 2, 3)) + b
    assert torch.allclose(found, exact, atol=1e-3) and bool((found >= exact).all())


def test_rigid_flows_are_translations() -> None:
    """Without differences of neighbours the bound covers, and nears, the worst translation."""
    model, g = linear(), torch.Generator().manual_seed(3)
    x = torch.rand(2, 1, 4, 4, generator=g).double()
    goal = Untargeted(torch.zeros(2, dtype=torch.long))
    reach, flat = 0.3, torch.ones(2, 4, 4).double()
    rigid = Spatial()(model, x, goal, Flow(pixels=reach, smooth=0.0)).margin
    free = Spatial()(model, x, goal, Flow(pixels=reach)).margin
    steps = torch.linspace(-reach, reach, 21)
    with torch.no_grad():
        moved = [goal(model(displaced(x, u * flat, w * flat))) for u in steps for w in steps]
    worst = torch.stack(moved).amax(0)
    assert bool((worst <= rigid).all()) and bool((rigid <= free).all())
    assert float((free - rigid).mean()) > 0.1 * float((free - worst).mean())


def test_smoothness_never_loosens_and_radius_zero_is_clean() -> None:
    world, last = Images.make(rows=2), None
    for smooth in (None, 0.2, 0.05, 0.01, 0.0):
        found = Spatial()(world.model, world.x, world.goal, Flow(pixels=0.2, smooth=smooth)).margin
        assert last is None or bool((found <= last + 1e-9).all())
        last = found
    clean = world.goal(world.model(world.x)).detach()
    still = Spatial()(world.model, world.x, world.goal, Flow(pixels=0.0)).margin
    assert torch.allclose(still, clean, atol=1e-6)


def test_nan_and_flat_inputs() -> None:
    world = Images.make(rows=2)
    x = world.x.clone()
    x[0, 0, 0, 0] = float("nan")
    found = Spatial()(world.model, x, world.goal, Flow(pixels=0.01))
    assert not bool(found.proved[0])
    flat = three_class(rows=2)
    with pytest.raises(Unsupported):
        Spatial()(flat.model, flat.x, flat.goal, Flow(pixels=0.1))
