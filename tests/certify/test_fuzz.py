"""Random awkward networks: no corner, sample or ascent breaks a bound, in any norm and type."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from holdfast.certify.linear.crown import CROWN
from holdfast.certify.linear.ibp import IBP
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Threat
from holdfast.run.bracket import bracket
from holdfast.testing.worlds import RandomNet
from holdfast.threats.norms import L1, L2, LInf

ROWS = 3


def inputs(net: RandomNet, seed: int, dtype: torch.dtype) -> Tensor:
    """Rows with some values at the ends of the range, laid out in memory the wrong way round."""
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(ROWS, *net.shape, generator=g)
    x = torch.where(torch.rand(x.shape, generator=g) < 0.1, x.round(), x).to(dtype)
    return x.transpose(0, -1).contiguous().transpose(0, -1)


def tried(net: RandomNet, x: Tensor, goal: Untargeted, threat: Threat, seed: int):
    """Admissible changes: none, samples, corners, far vertices, and an ascent."""
    none, g = threat.none(x), torch.Generator().manual_seed(seed)
    yield none
    for stream in range(3):
        yield threat.sample(x, Dice.of(len(x), stream))
    if net.shape == (5,) and isinstance(threat, LInf):
        for signs in product((-1.0, 1.0), repeat=5):
            yield threat.project(x, threat.radius * torch.tensor(signs).to(x).expand_as(x))
    for _ in range(4):
        way = torch.randn(x.shape, generator=g).to(x)
        yield threat.project(x, threat.steepest(x, none, way))
    change = none
    for step in range(8):
        moved = change.clone().requires_grad_()
        (slope,) = torch.autograd.grad(goal(threat.through(net, x, moved)).sum(), moved)
        rise = threat.steepest(x, change, slope.nan_to_num(0.0, 0.0, 0.0))
        change = threat.project(x, change + (1.0 if step == 0 else 0.3) * rise).detach()
        yield change


@pytest.mark.parametrize("seed", range(8))
def test_no_change_breaks_a_bound(seed: int) -> None:
    dtype = torch.float64 if seed % 3 == 0 else torch.float32
    net = RandomNet(seed, dtype, image=seed % 2 == 1)
    x = inputs(net, seed, dtype)
    with torch.no_grad():
        goal = Untargeted(net(x).argmax(1))
    ball = (LInf, L2, L1)[seed % 3 if seed % 2 else seed // 2 % 3]
    for radius, method in product((0.05, 0.5), (IBP(), CROWN())):
        threat = ball(radius=radius, high=0.7 if seed % 2 else 1.0)
        found = method(net, x, goal, threat)
        for change in tried(net, x, goal, threat, seed):
            assert (threat.size(x, change) <= 1 + 1e-5).all()
            with torch.no_grad():
                z = threat.through(net, x, change).double()
            bad = ~z.isfinite().all(1)
            assert not (bad & found.proved).any()
            assert (goal(z)[~bad] <= found.margin[~bad]).all(), (net.plan, threat.spec)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 3e38])
def test_broken_weights_prove_no_row_whose_outputs_break(bad: float) -> None:
    for seed in range(4):
        net = RandomNet(seed, torch.float32, image=seed % 2 == 1)
        x = inputs(net, seed, torch.float32)
        weight = next(iter(net.parameters()))
        with torch.no_grad():
            weight.flatten()[0] = bad
            broken = ~net(x).isfinite().all(1)
        for method in (IBP(), CROWN()):
            found = method(net, x, Untargeted(torch.zeros(ROWS).long()), LInf(radius=0.01))
            assert not (found.proved & broken).any()


@pytest.mark.parametrize("rows", [0, 1])
def test_batches_of_none_and_one(rows: int) -> None:
    for seed in range(4):
        net = RandomNet(seed, torch.float32, image=seed % 2 == 1)
        x = inputs(net, seed, torch.float32)
        goal = Untargeted(torch.zeros(ROWS).long())
        whole = CROWN()(net, x, goal, LInf(radius=0.01)).margin
        part = CROWN()(net, x[:rows], goal.take(slice(0, rows)), LInf(radius=0.01)).margin
        assert part.shape == (rows,)
        assert torch.allclose(part, whole[:rows], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_the_bracket_agrees_on_random_nets(seed: int) -> None:
    net = RandomNet(seed, torch.float32, image=seed % 2 == 1)
    x = inputs(net, seed, torch.float32)
    with torch.no_grad():
        goal = Untargeted(net(x).argmax(1))
    found = bracket(
        net, x, goal, LInf(radius=0.02), attacks=["attack:bim"], certifiers=["certifier:crown"]
    )
    assert not (found.certified & found.broken).any()
