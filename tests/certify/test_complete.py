"""Optimised and complete bounds against enumeration, linear programs and each other."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
import torch
from scipy.optimize import linprog
from tests.certify.searches import decides_like_enumeration
from torch import nn

from holdfast.certify.linear.alive import living
from holdfast.certify.linear.alpha import AlphaCROWN
from holdfast.certify.linear.ascent import ascend
from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.crown import CROWN
from holdfast.certify.linear.first import rows_of
from holdfast.certify.linear.region import region
from holdfast.certify.reading.reader import read
from holdfast.certify.search.branch import prove
from holdfast.certify.search.complete import MILP, BetaCROWN, begun, decided
from holdfast.core.dice import dice_or
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Threat
from holdfast.testing.worlds import TinyReLU
from holdfast.threats.norms import L1, L2, LInf


def net(seed: int, sizes=(6, 12, 12, 3)) -> nn.Sequential:
    g = torch.Generator().manual_seed(seed)
    parts: list[nn.Module] = []
    for n, m in pairwise(sizes):
        layer = nn.Linear(n, m).double()
        with torch.no_grad():
            layer.weight.copy_(torch.randn(m, n, generator=g) * (1.6 / n) ** 0.5)
            layer.bias.copy_(0.2 * torch.randn(m, generator=g))
        parts += [layer, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def cases(seed: int, rows: int = 4):
    model = net(seed)
    x = torch.rand(rows, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with torch.no_grad():
        return model, x, Untargeted(model(x).argmax(1))


@pytest.mark.parametrize("threat", [LInf(radius=0.1), L2(radius=0.2)], ids=repr)
def test_alpha_is_sound_and_never_looser_than_crown(threat) -> None:
    gained = 0.0
    for seed in range(3):
        model, x, goal = cases(seed)
        plain = CROWN()(model, x, goal, threat).margin
        found = AlphaCROWN()(model, x, goal, threat).margin
        assert (found <= plain + 1e-12).all()
        change = threat.sample(x.repeat(2000, 1), dice_or(None, 8000))
        worst = goal.take(torch.arange(4).repeat(2000))(model(x.repeat(2000, 1) + change))
        assert (worst.reshape(-1, 4).amax(0) <= found).all()
        gained += float((plain - found).sum())
    assert gained > 0.05


def triangle(bounds, c) -> float:
    """The linear program over the triangle around each ReLU of a plain stack of layers."""
    nodes = bounds.graph.nodes
    low, high = (e[0].tolist() for e in bounds.region.box)
    ends, rows, limits, equal, right = list(zip(low, high, strict=True)), [], [], [], []
    values = {0: list(range(len(low)))}
    for i, node in enumerate(nodes[1:], 1):
        before = values[node.parents[0]]
        size = node.shape[0]
        own = list(range(len(ends), len(ends) + size))
        values[i] = own
        for k in range(size):
            if node.is_relu:
                down, up = (float(e[0, k]) for e in bounds.boxes[node.parents[0]])
                ends.append((max(0.0, down), max(0.0, up)))
                rows.append({before[k]: 1.0, own[k]: -1.0})
                limits.append(0.0)
                slope = 0.0 if up <= 0 else 1.0 if down >= 0 else up / (up - down)
                rows.append({own[k]: 1.0, before[k]: -slope})
                limits.append(-slope * down if down < 0 < up else 0.0)
            else:
                ends.append((None, None))
                weight = node.operator.weight[k].tolist()
                equal.append({own[k]: 1.0} | dict(zip(before, [-w for w in weight], strict=True)))
                right.append(float(node.operator.bias[k]))

    def matrix(lines):
        out = torch.zeros(len(lines), len(ends), dtype=torch.float64)
        for r, line in enumerate(lines):
            for v, f in line.items():
                out[r, v] = f
        return out.numpy()

    objective = torch.zeros(len(ends), dtype=torch.float64)
    objective[values[bounds.graph.output]] = c
    found = linprog(objective.numpy(), matrix(rows), limits, matrix(equal), right, bounds=ends)
    return float(found.fun)


def test_alpha_reaches_the_linear_program_and_never_passes_it() -> None:
    for seed in range(3):
        model, x, _ = cases(seed, rows=1)
        with torch.no_grad():
            bounds = propagate(read(model, x), region(LInf(radius=0.1), x), "crown")
            c = torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64)
            found = float(ascend(bounds, bounds.graph.output, c[None, None], 300))
        exact = triangle(bounds, c)
        assert exact - 2e-3 <= found <= exact + 1e-7


def enumerable(threat: Threat, seed: int, signs: bool | None = None) -> None:
    """Branch and bound proves exactly the rows that enumeration does not break."""
    world = TinyReLU.make(seed=seed, rows=2)
    worst = world.worst(threat.radius, threat.order)
    question, _ = begun(world.model, world.x, world.goal, threat)
    for row in range(2):
        found = decided(question, row, 0.0, 30.0, 500, signs=signs)
        assert found.answer == ("sat" if worst[row] > 0 else "unsat")
    beta = BetaCROWN()(world.model, world.x, world.goal, threat)
    assert torch.equal(beta.proved, worst < 0)
    assert (beta.margin >= worst).all()


@pytest.mark.parametrize("signs", [False, True])
@pytest.mark.parametrize("kind", [LInf, L2, L1])
def test_branch_and_bound_agrees_with_enumeration(kind: type[Threat], signs: bool) -> None:
    for seed, radius in ((0, 0.15), (1, 0.25)):
        enumerable(kind(radius=radius), seed, signs)


@pytest.mark.parametrize("kind", [LInf, L1])
def test_mixed_integer_programs_agree_with_enumeration(kind: type[Threat]) -> None:
    for seed, radius in ((0, 0.05), (1, 0.2)):
        world = TinyReLU.make(seed=seed, rows=2)
        worst = world.worst(radius, kind.order)
        exact = MILP(slack=1e-6)(world.model, world.x, world.goal, kind(radius=radius)).margin
        assert (exact >= worst).all() and (exact <= worst + 1.1e-6).all()


def test_mixed_integer_programs_refuse_what_is_round() -> None:
    world = TinyReLU.make(rows=1)
    with pytest.raises(Unsupported, match="beta-crown"):
        MILP()(world.model, world.x, world.goal, L2(radius=0.1))


@pytest.mark.parametrize("signs", [False, True])
def test_both_kinds_of_splits_decide_like_enumeration(signs: bool) -> None:
    decides_like_enumeration(signs=signs)


def test_conjunctions_are_refuted_by_mixtures() -> None:
    """No row alone is positive everywhere: |x| <= -0.1 as two rows of a linear network."""
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        for p, v in zip(model.parameters(), ([[1], [-1]], [0, 0], [[1, -1]], [0]), strict=True):
            p.copy_(torch.tensor(v))
    graph = read(model, torch.zeros(1, 1, dtype=torch.float64))
    rows = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    both = (rows, torch.full((2,), -0.1, dtype=torch.float64))
    one = torch.ones(1, dtype=torch.float64)
    found = prove(graph, -one, one, [both], deadline=time.monotonic() + 20, signs=True)
    assert found.answer == "unsat"


def test_time_is_kept() -> None:
    model = net(1, (40, 60, 60, 60, 2)).eval()
    x = torch.full((1, 40), 0.5, dtype=torch.float64)
    graph = read(model, x)
    rows = [(torch.tensor([[1.0, -1.0]]), torch.tensor([-3.0]))]
    start = time.monotonic()
    found = prove(graph, x[0] - 0.5, x[0] + 0.5, rows, deadline=start + 1.0, attack=False)
    assert found.answer in ("unknown", "unsat")
    assert time.monotonic() - start < 3  # half a second on a machine that is not busy


def test_rows_of_convolutions_are_read_off() -> None:
    g = torch.Generator().manual_seed(0)
    for stride, padding, dilation in ((1, 0, 1), (2, 1, 1), (1, 2, 2)):
        layer = nn.Conv2d(2, 3, 3, stride, padding, dilation).double()
        graph = read(nn.Sequential(layer, nn.ReLU(), nn.Flatten()), torch.rand(1, 2, 7, 6).double())
        size = graph.nodes[1].shape
        total = size[0] * size[1] * size[2]
        unit = torch.randint(total, (2, 5), generator=g)
        one = torch.zeros(2, 5, total, dtype=torch.float64).scatter_(2, unit[:, :, None], 1.0)
        (slow,) = graph.nodes[1].operator.back(one.reshape(10, *size))
        fast = rows_of(graph, 1, unit)
        assert torch.allclose(fast.flatten(0, 1), slow)


def test_a_network_without_its_silent_neurons_computes_the_same() -> None:
    model, x, _ = cases(3)
    space = region(LInf(radius=0.05), x[:1])
    bounds = propagate(read(model, x), space, "crown")
    slim = living(bounds, bounds.graph.output)
    assert slim.graph.nodes[2].shape < bounds.graph.nodes[2].shape
    low, high = space.box
    share = torch.rand(500, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points = low + share * (high - low)
    assert torch.allclose(slim.graph(points), bounds.graph(points), rtol=0, atol=1e-12)
