"""Optimised bounds against linear and mixed-integer programs, samples, and frozen bounds."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from torch import nn

from holdfast.certify.linear.alive import living
from holdfast.certify.linear.alpha import AlphaCROWN
from holdfast.certify.linear.ascent import ascend
from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.crown import CROWN
from holdfast.certify.linear.draft import Draft
from holdfast.certify.linear.refine import refined
from holdfast.certify.linear.region import region
from holdfast.certify.linear.tighten import tightened
from holdfast.certify.linear.windows import view
from holdfast.certify.reading.reader import read
from holdfast.claims.alpha_crown import least, net
from holdfast.core.dice import dice_or
from holdfast.core.goal import Untargeted
from holdfast.threats.norms import L1, L2, LInf

C = torch.tensor([[[1.0, -1.0]]], dtype=torch.float64)


def known(seed: int, radius: float):
    model, x = net(seed), torch.rand(1, 2, generator=torch.Generator().manual_seed(seed)).double()
    with torch.no_grad():
        return propagate(read(model, x), region(LInf(radius=radius), x), "crown")


@pytest.mark.parametrize("radius", [0.2, 0.6])
def test_reaches_the_linear_program_on_fixed_boxes(radius: float) -> None:
    for seed in range(2):
        bounds = known(seed, radius)
        with torch.no_grad():
            found = float(ascend(bounds, bounds.graph.output, C, 500))
        exact = least(bounds, 0, C[0, 0], whole=False)
        assert exact - 1e-3 <= found <= exact + 1e-7


def test_shrinking_boxes_passes_the_first_linear_program_but_never_the_truth() -> None:
    beyond = 0.0
    for seed in range(2):
        bounds = known(seed, 0.6)
        with torch.no_grad():
            tight = tightened(bounds, 20)
            first, second = (float(ascend(b, b.graph.output, C, 300)) for b in (bounds, tight))
        wide, narrow = (least(b, 0, C[0, 0], whole=False) for b in (bounds, tight))
        assert second >= first - 1e-6
        assert narrow - 1e-3 <= second <= narrow + 1e-7
        assert second <= least(bounds, 0, C[0, 0], whole=True) + 1e-7
        beyond = max(beyond, second - wide)
    assert beyond > 0.01


def test_more_moves_are_never_looser() -> None:
    for seed in range(3):
        bounds = known(seed, 0.4)
        with torch.no_grad():
            found = [float(ascend(bounds, 5, C, k)) for k in (0, 1, 2, 3, 5, 8, 20, 50)]
            boxes = [tightened(bounds, k).boxes[3] for k in (1, 2, 5, 10)]
        assert all(b >= a - 1e-6 for a, b in pairwise(found))
        assert found[-1] > found[0]
        for a, b in pairwise(boxes):
            assert (b.low >= a.low - 1e-6).all() and (b.high <= a.high + 1e-6).all()


def test_the_slopes_of_a_draft_are_those_of_its_bound() -> None:
    g = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 2))
    x = torch.rand(3, 4, generator=g)
    for threat in (LInf(radius=0.3), L2(radius=0.4), L1(radius=0.5)):
        with torch.no_grad():
            bounds = propagate(read(model, x), region(threat, x), "crown")
            draft = Draft(bounds, 5, 1)
            for free in draft.free:
                free.uniform_(0.2, 0.8, generator=g)
            a = torch.tensor([1.0, -1.0]).expand(3, 1, 2).clone()
            draft.down(a, None)
            for free, slope in zip(draft.free, draft.up(), strict=True):
                way = slope.sign()
                up, down = (_moved(draft, free, s * way, a) for s in (1e-3, -1e-3))
                mass = slope.abs().flatten(1).sum(1)
                assert torch.allclose((up - down).flatten() / 2e-3, mass, rtol=0.02, atol=1e-3)


def _moved(draft: Draft, free, step, a):
    free += step
    found = draft.down(a, None)
    free -= step
    return found


def convolutions(padding: int) -> nn.Sequential:
    g = torch.Generator().manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, 2, padding), nn.ReLU(), nn.Conv2d(4, 3, 3, 1, padding),
        nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 3, 3, 1, padding), nn.ReLU(), nn.Flatten(),
        nn.LazyLinear(3),
    ).double().eval()  # fmt: skip
    model(torch.rand(1, 2, 15, 15).double())
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.4 * torch.randn(p.shape, generator=g, dtype=torch.float64))
    return model


@pytest.mark.parametrize("threat", [LInf(radius=0.05), L2(radius=0.3), L1(radius=0.8)], ids=repr)
@pytest.mark.parametrize("padding", [0, 1])
def test_windows_give_the_bounds_of_the_whole_network(threat, padding: int) -> None:
    model = convolutions(padding)
    x = torch.rand(2, 2, 15, 15, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        bounds = propagate(read(model, x), region(threat, x), "crown")
        small = view(bounds, bounds.graph.bent[1]) is not None
        assert small == (not padding or isinstance(threat, LInf))
        for steps in (0, 2):
            own = [refined(bounds, i, steps=steps) for i in bounds.graph.bent[1:]]
            with patch("holdfast.certify.linear.questions.view", lambda b, i: None):
                full = [refined(bounds, i, steps=steps) for i in bounds.graph.bent[1:]]
            for i, a, b in zip(bounds.graph.bent[1:], own, full, strict=True):
                asked = (bounds.boxes[i].low < 0) & (bounds.boxes[i].high > 0)
                for one, other in zip(a, b, strict=True):
                    assert (one - other)[asked].abs().max() < (1e-4 if steps else 1e-9)


def test_dead_neurons_change_nothing() -> None:
    model = net(3, (5, 30, 30, 30, 2))
    x = torch.rand(2, 5, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        bounds = propagate(read(model, x), region(LInf(radius=0.2), x), "crown")
        part = living(bounds, 5)
        assert part.graph.nodes[2].shape[0] < 30
        for steps in (0, 3):
            own = refined(bounds, 5, steps=steps)
            with patch("holdfast.certify.linear.questions.living", lambda b, i: b):
                full = refined(bounds, 5, steps=steps)
            for one, other in zip(own, full, strict=True):
                assert torch.allclose(one, other, rtol=0, atol=1e-4 if steps else 1e-9)


@pytest.mark.parametrize("threat", [LInf(radius=0.05), L2(radius=0.4)], ids=repr)
def test_sound_on_convolutions_and_never_looser_than_crown(threat) -> None:
    model = convolutions(1)
    x = torch.rand(2, 2, 15, 15, generator=torch.Generator().manual_seed(5)).double()
    with torch.no_grad():
        goal = Untargeted(model(x).argmax(1))
    found = AlphaCROWN(every=True)(model, x, goal, threat).margin
    plain = CROWN()(model, x, goal, threat).margin
    assert (found <= plain).all() and (found < plain - 1e-3).any()
    many = x.repeat_interleave(200, 0)
    change = threat.sample(many, dice_or(None, 400))
    worst = goal.take(torch.arange(2).repeat_interleave(200))(model(many + change).detach())
    assert (worst.reshape(2, -1).amax(1) <= found).all()


def oracle(name: str) -> nn.Sequential:
    if name == "mlp":
        parts = [
            p for n, m in pairwise((784, 256, 256, 256, 10)) for p in (nn.Linear(n, m), nn.ReLU())
        ]
        return nn.Sequential(nn.Flatten(), *parts[:-1])
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(1568, 100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_as_tight_as_the_frozen_bounds_of_another_engine(name: str) -> None:
    file = Path(os.environ.get("HOLDFAST_ORACLE", "")) / f"linear_bounds_{name}.pt"
    if "HOLDFAST_ORACLE" not in os.environ or not file.exists():
        pytest.skip("HOLDFAST_ORACLE does not name a folder with linear_bounds_*.pt")
    frozen, method = torch.load(file, weights_only=True), AlphaCROWN()
    model = oracle(name)
    model.load_state_dict(frozen["state_dict"])
    model.double().eval()
    x, spec = frozen["x"][:2].double(), frozen["spec"][:2].double()
    with torch.no_grad():
        threat = LInf(radius=0.08, low=-10.0, high=10.0)
        bounds = propagate(read(model, x), region(threat, x), "crown")
        tight = tightened(bounds, method.steps)
        found = ascend(tight, tight.graph.output, spec, method.last)
    theirs = frozen["lower_bounds"]["CROWN-Optimized@0.080000"][:2].double()
    assert (found >= theirs - 1e-3).all()
    assert found.mean() >= theirs.mean() - 2e-4
