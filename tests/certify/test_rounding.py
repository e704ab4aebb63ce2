"""Certificates hold for the model as it is computed in float32, not only for real numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from holdfast.certify.linear.crown import CROWN
from holdfast.certify.linear.ibp import IBP
from holdfast.core.goal import Untargeted
from holdfast.ops.interval import around, gamma
from holdfast.run.search import clean
from holdfast.threats.norms import L1, L2, LInf

METHODS = (IBP(), CROWN(), CROWN(intermediate="ibp"))
LABEL = Untargeted(torch.zeros(1, dtype=torch.long))


def constant_net(seed: int, hidden: int = 400) -> tuple[nn.Sequential, float, float]:
    """A float32 net that ignores its input; its margin, in float32 and in real numbers.

    The last bias is set so that the exact margin is negative by less than what rounding adds.
    """
    g = torch.Generator().manual_seed(seed)
    first, last = nn.Linear(1, hidden), nn.Linear(hidden, 2)
    with torch.no_grad():
        first.weight.zero_()
        first.bias.copy_(torch.rand(hidden, generator=g) * 100)
        last.weight.copy_(torch.randn(2, hidden, generator=g))
        last.bias.zero_()
        model, x = nn.Sequential(first, nn.ReLU(), last), torch.zeros(1, 1)

        def both() -> tuple[float, float]:
            z = model(x).double()[0]
            real = last.weight.double() @ first.bias.double() + last.bias.double()
            return float((z[1] - z[0]).detach()), float(real[1] - real[0])

        for _ in range(40):  # walk the exact margin to just below zero
            computed, real = both()
            if real < 0 < computed:
                break
            last.bias[1] -= real + abs(computed - real) / 2
    return model, *both()


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_what_rounding_turns_around_is_not_proved(method) -> None:
    turned = 0
    for seed in range(12):
        model, computed, real = constant_net(seed)
        turned += real < 0 < computed
        found = method(model, torch.zeros(1, 1), LABEL, LInf(radius=0.01))
        assert float(found.margin) >= max(computed, real)
        assert not (computed >= 0 and found.proved.any())
    assert turned >= 1  # there is something to notice


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("threat", [LInf, L2, L1])
def test_an_overflow_of_the_models_type_is_never_proved(method, threat) -> None:
    """In float64 the bounds are finite and the label wins; in float32 the model answers inf."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2) * 1e30)
        model[0].bias.zero_()
        model[2].weight.copy_(torch.tensor([[1e30, 1e30], [-1.0, -1.0]]))
        model[2].bias.zero_()
    x = torch.tensor([[0.5, 0.5]])
    found = method(model, x, LABEL, threat(radius=0.01))
    assert not found.proved.any()
    assert not clean(model, x, LABEL, threat(radius=0.01)).finite.all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_sound_or_proves_nothing(dtype: torch.dtype) -> None:
    g = torch.Generator().manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g))
    model.to(dtype)
    x = torch.rand(20, 6, generator=g).to(dtype)
    with torch.no_grad():
        goal = Untargeted(model(x).argmax(1))
        found = CROWN()(model, x, goal, LInf(radius=0.01))
        for _ in range(50):
            noise = 0.01 * (2 * torch.rand(x.shape, generator=g) - 1)
            z = model(LInf(radius=0.01).apply(x, noise.to(dtype))).double()
            assert (goal(z) <= found.margin).all()
    assert found.proved.any()


def test_too_many_roundings_are_infinite_not_negative() -> None:
    assert gamma(300, 2.0**-8) == float("inf") and 0 < gamma(10, 2.0**-8) < 0.05


def test_the_range_is_cut_where_the_type_stores_its_ends() -> None:
    """0.1 is larger in float32 than in float64; a clamped input may reach the larger one."""
    x = torch.tensor([[0.05, 0.0999]])
    box = around(x, 0.2, 0.01, 0.1)
    reached = LInf(radius=0.2, low=0.01, high=0.1).apply(x, torch.full_like(x, 0.2)).double()
    assert (reached > 0.1).all() and (reached <= box.high).all()


@pytest.mark.parametrize(("threat", "order"), [(L2, 2), (L1, 1)])
def test_a_projected_change_lies_in_the_region(threat, order: int) -> None:
    """A change just above the radius, which projection leaves alone, is covered."""
    model = nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
        model.bias.zero_()
    x, ball = torch.full((1, 3), 0.0), threat(radius=0.1)
    change = torch.tensor([[0.1 * (1 + 7e-7), 0.0, 0.0]])
    kept = ball.project(x, change)
    with torch.no_grad():
        reached = LABEL(model(ball.apply(x, kept)).double())
    assert (reached <= CROWN()(model, x, LABEL, ball).margin).all()
