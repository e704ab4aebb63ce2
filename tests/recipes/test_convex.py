"""Convex training against enumeration, against gradient descent, and against attacks."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.claims import convex_adversarial
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.goal import Untargeted
from holdfast.ops import gates
from holdfast.ops.cones import solve
from holdfast.ops.gates import interior, patterns
from holdfast.recipes import convex
from holdfast.recipes.convex import Convex
from holdfast.run.search import search
from holdfast.threats.norms import L2, LInf

LOSSES = {
    "hinge": lambda m: F.relu(1 - m),
    "squared": lambda m: (1 - m) ** 2 / 2,
    "logistic": lambda m: F.softplus(-m),
}
CLEAN = LInf(radius=0.0)


def net(inputs: int = 2, width: int = 32, bias: bool = True) -> nn.Sequential:
    first = nn.Linear(inputs, width, bias=bias)
    return nn.Sequential(first, nn.ReLU(), nn.Linear(width, 2)).double()


def six(seed: int = 0) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(6, 2, generator=g, dtype=torch.float64)
    return x, torch.tensor([0, 1, 0, 1, 1, 0])


def signed(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        z = model(x)
    return (z[:, 1] - z[:, 0]) * (2 * y - 1)


def decayed(model: nn.Sequential) -> float:
    """Half the squared weights, with the difference of the two logits as the outer layer."""
    outer = model[2].weight[1] - model[2].weight[0]
    inner = model[0].weight.square().sum()
    inner = inner + (0.0 if model[0].bias is None else model[0].bias.square().sum())
    return float((inner + outer.square().sum()).detach() / 2)


def every_pattern(x: Tensor) -> Tensor:
    """All patterns of half-spaces through the origin that some unit strictly keeps."""
    rows = torch.tensor(list(product([False, True], repeat=len(x))))[1:]
    return torch.stack([g for g in rows if interior(x, g, 0.0, 2) is not None])


def descended(x: Tensor, y: Tensor, loss: str, decay: float, runs: int) -> float:
    """The best of many Adam runs of the network itself, width 20, without biases."""
    g = torch.Generator().manual_seed(3)
    u = torch.randn(runs, 2, 20, generator=g, dtype=torch.float64).requires_grad_()
    a = torch.randn(runs, 20, generator=g, dtype=torch.float64).requires_grad_()
    adam = torch.optim.Adam([u, a], lr=0.03)
    best = torch.full((runs,), torch.inf, dtype=torch.float64)
    for step in range(600):
        adam.param_groups[0]["lr"] = 0.03 * (1 - step / 600)
        margin = torch.einsum("rnk,rk->rn", (x @ u).relu(), a) * (2 * y - 1)
        value = LOSSES[loss](margin).mean(1) + decay / 2 * (u**2).sum((1, 2))
        value = value + decay / 2 * (a**2).sum(1)
        best = torch.minimum(best, value.detach())
        adam.zero_grad()
        value.sum().backward()
        adam.step()
    return float(best.min())


def test_drawing_finds_every_pattern_that_enumeration_finds() -> None:
    x, _ = six()
    g = torch.Generator().manual_seed(0)
    draws = torch.randn(2000, 2, generator=g, dtype=torch.float64)
    found, units = patterns(x, draws, x.new_zeros(0, 6, 2), 0.0, 2, 99)
    truth = {tuple(row) for row in every_pattern(x).tolist()}
    assert {tuple(row) for row in found.tolist()} == truth
    assert len(truth) <= 2 * len(x)  # cells of a line arrangement in the plane
    assert all(torch.equal(x @ u >= 0, row) for u, row in zip(units, found, strict=True))


@pytest.mark.parametrize("loss", LOSSES)
def test_no_descent_beats_the_program_over_all_patterns(loss) -> None:
    x, y = six()
    model = net(bias=False)
    recipe = Convex(threat=CLEAN, loss=loss, decay=0.05, samples=2000, tolerance=1e-6)
    row = recipe(model, Batches(x=x, y=y)).history[0]
    assert row["patterns"] == len(every_pattern(x))
    assert 0 <= row["gap"] < 1e-5
    best = descended(x, y, loss, 0.05, runs=200 if loss == "hinge" else 30)
    assert row["value"] <= best + 1e-6 + row["gap"]
    assert best <= row["value"] + 5e-3  # and the descent comes near, so it is the same problem
    whole = float(LOSSES[loss](signed(model, x, y)).mean()) + 0.05 * decayed(model)
    assert row["value"] - row["gap"] <= whole <= row["value"] + 1e-12


def test_the_gap_bounds_what_a_rough_solution_misses() -> None:
    x, y = six(4)
    rows = [
        Convex(threat=LInf(radius=0.1), decay=0.05, tolerance=t)(net(), Batches(x=x, y=y)).history
        for t in (1e-1, 1e-2, 1e-3, 1e-6)
    ]
    best = rows[-1][0]["value"]
    for (row,) in rows:
        assert best - 1e-5 <= row["value"] <= best + row["gap"]
    assert rows[0][0]["value"] > best + 1e-3 and rows[-1][0]["gap"] < 1e-4


@pytest.mark.parametrize("loss", LOSSES)
def test_the_value_bounds_every_corner_and_every_attack(loss) -> None:
    g = torch.Generator().manual_seed(1)
    y = torch.arange(24) % 2
    side = (2.0 * y - 1)[:, None]
    x = 0.5 + 0.25 * side + 0.08 * torch.randn(24, 2, generator=g, dtype=torch.float64)
    threat = LInf(radius=0.08, low=-9.0, high=9.0)
    model, data = net(), Batches(x=x, y=y)
    row = Convex(threat=threat, loss=loss, decay=1e-3)(model, data).history[0]
    assert row["patterns"] > 1
    corners = 0.08 * torch.tensor(list(product([-1.0, 1.0], repeat=2)), dtype=torch.float64)
    inner = 0.08 * (2 * torch.rand(200, 2, generator=g, dtype=torch.float64) - 1)
    losses = torch.stack([LOSSES[loss](signed(model, x + c, y)) for c in corners])
    within = torch.stack([LOSSES[loss](signed(model, x + c, y)) for c in inner])
    assert (within.amax(0) <= losses.amax(0) + 1e-9).all()  # affine in the ball: corners are worst
    assert float(losses.amax(0).mean()) == pytest.approx(row["loss"], abs=1e-5)
    found = search(PGD(steps=20), model, x, Untargeted(y), threat)
    if loss != "squared":  # whose worst case may also be a margin that is too large
        assert float(LOSSES[loss](-found.margin).mean()) <= row["loss"] + 1e-9
    for corner in corners:  # every unit keeps its pattern
        assert torch.equal(model[0](x + corner) >= 0, model[0](x) >= 0)


def test_without_the_norm_in_the_constraints_the_bound_would_be_false(monkeypatch) -> None:
    x, y = six(5)
    data, threat = Batches(x=x, y=y), LInf(radius=0.3, low=-9.0, high=9.0)
    short = []
    for bug in (False, True):
        if bug:
            monkeypatch.setattr(gates, "interior", convex_adversarial.crossed)
            monkeypatch.setattr(convex, "program", convex_adversarial.loosened)
        model = net()
        row = Convex(threat=threat, decay=1e-3)(model, data).history[0]
        found = search(PGD(steps=20, restarts=3), model, x, Untargeted(y), threat)
        short.append(float(F.relu(1 + found.margin).mean()) - row["loss"])
    assert short[0] <= 1e-9 < 0.01 < short[1]


def test_without_a_radius_it_is_the_standard_program() -> None:
    x, y = six(2)
    recipes = (Convex(threat=LInf(radius=r), decay=0.05) for r in (1e-5, 0.0))
    small, none = (r(net(), Batches(x=x, y=y)).history[0]["value"] for r in recipes)
    assert small == pytest.approx(none, abs=2e-4)


def test_unlabelled_rows_do_not_count_and_narrow_models_take_fewer_patterns() -> None:
    x, y = six()
    more = Batches(x=torch.cat([x, 50 + x]), y=torch.cat([y, torch.full((6,), -100)]))
    a, b = net(width=8), net(width=8)
    one, two = (Convex(threat=CLEAN)(m, d) for m, d in ((a, Batches(x=x, y=y)), (b, more)))
    assert one.history == two.history and one.history[0]["patterns"] == 4
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_a_stalled_solver_says_so_and_changes_nothing(monkeypatch) -> None:
    x, y = six()
    monkeypatch.setattr(convex, "solve", lambda *a, **k: solve(*a, limit=3, **k))
    model = net()
    before = model[0].weight.clone()
    with pytest.raises(Unsupported, match="stalled"):
        Convex()(model, Batches(x=x, y=y))
    assert torch.equal(model[0].weight, before)


def test_refuses_what_it_cannot_do() -> None:
    x, y = six()
    data = Batches(x=x, y=y)
    deep = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    for model in (deep, nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 4), nn.Tanh(), net()[2])):
        with pytest.raises(Unsupported, match="one hidden layer"):
            Convex()(model, data)
    with pytest.raises(Unsupported, match="not an l-inf ball"):
        Convex(threat=L2(radius=0.1))(net(), data)
    with pytest.raises(Unsupported, match="keeps its pattern"):
        Convex(threat=LInf(radius=50.0))(net(bias=False), data)
    with pytest.raises(Unsupported, match="variables"):
        Convex()(net(inputs=784, width=128), Batches(x=torch.rand(9, 784), y=torch.arange(9) % 2))
    with pytest.raises(ShapeError, match="0 or 1"):
        Convex()(net(), Batches(x=x, y=y + 1))
    with pytest.raises(ShapeError, match="labelled"):
        Convex()(net(), Batches(x=x, y=y * 0 - 100), dice=Dice.of(6))
