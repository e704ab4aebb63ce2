"""IBP and CROWN against naive twins, exact enumeration, exact fractions and frozen bounds."""

from __future__ import annotations

import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.certify.linear.bounds import margins, propagate
from holdfast.certify.linear.crown import CROWN
from holdfast.certify.linear.ibp import IBP
from holdfast.certify.linear.region import region
from holdfast.certify.reading.reader import read
from holdfast.core.errors import Unsupported
from holdfast.core.goal import AtLeast, Targeted, Untargeted
from holdfast.testing.worlds import Images, TinyReLU, three_class
from holdfast.threats.norms import L1, L2, LInf

METHODS = (IBP(), CROWN(), CROWN(intermediate="ibp"))


def mlp(sizes: tuple[int, ...], seed: int = 0, scale: float = 1.0) -> nn.Sequential:
    g = torch.Generator().manual_seed(seed)
    parts: list[nn.Module] = []
    for n, m in pairwise(sizes):
        layer = nn.Linear(n, m).double()
        with torch.no_grad():
            layer.weight.copy_(scale * torch.randn(m, n, generator=g) / n**0.5)
            layer.bias.copy_(0.3 * torch.randn(m, generator=g))
        parts += [layer, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


class Residual(nn.Module):
    """Normalisation, convolutions with stride, dilation and groups, a shortcut, pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5]).reshape(1, 2, 1, 1))
        self.a = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.n = nn.BatchNorm2d(4)
        self.b = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2)
        self.act = nn.ReLU(inplace=True)
        self.pool = nn.AvgPool2d(2)
        self.out = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.act(self.n(self.a((x - self.mean) / 0.25)))
        z = F.relu(z + self.b(z))
        return self.out(self.pool(z).view(x.shape[0], -1))


def residual(seed: int = 0) -> Residual:
    g = torch.Generator().manual_seed(seed)
    model = Residual().double().eval()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.5 * torch.randn(p.shape, generator=g, dtype=torch.float64))
        model.n.running_mean.normal_(generator=g)
        model.n.running_var.uniform_(0.5, 2, generator=g)
    return model


def dot(a, b):
    return sum(p * q for p, q in zip(a, b, strict=True))


def top(a: list[float], box: list[tuple[float, float]]) -> float:
    """The largest a . x over a box."""
    return sum(v * (high if v > 0 else low) for v, (low, high) in zip(a, box, strict=True))


def naive(model: nn.Sequential, x, y: int, other: int, low: float, radius: float, crown: bool):
    """Upper bound of z_other - z_y, neuron by neuron, in plain Python, from the formulas."""
    linears = [m for m in model if isinstance(m, nn.Linear)]
    w = [m.weight.tolist() for m in linears]
    b = [m.bias.tolist() for m in linears]
    box = [(max(v - radius, 0.0), min(v + radius, 1.0)) for v in x.tolist()]

    def highest(a: list[float], d: float, depth: int, lines: list) -> float:
        """Upper bound of a . (ReLU outputs of layer depth - 1) + d."""
        for layer in range(depth - 1, -1, -1):
            new = []
            for j, v in enumerate(a):
                lower, upper, offset = lines[layer][j]
                new.append(v * upper if v > 0 else v * lower)
                d += v * offset if v > 0 else 0.0
            d += sum(v * c for v, c in zip(new, b[layer], strict=True))
            a = [
                sum(new[j] * w[layer][j][i] for j in range(len(new)))
                for i in range(len(w[layer][0]))
            ]
        return d + top(a, box)

    lines: list = []
    current = box
    for layer in range(len(linears) - 1):
        row = []
        following = []
        for j, weights in enumerate(w[layer]):
            high = b[layer][j] + sum(
                v * (h if v > 0 else lo) for v, (lo, h) in zip(weights, current, strict=True)
            )
            least = b[layer][j] + sum(
                v * (lo if v > 0 else h) for v, (lo, h) in zip(weights, current, strict=True)
            )
            if crown and layer:
                high = min(high, highest(list(weights), b[layer][j], layer, lines))
                least = max(least, -highest([-v for v in weights], -b[layer][j], layer, lines))
            if least >= 0:
                row.append((1.0, 1.0, 0.0))
            elif high <= 0:
                row.append((0.0, 0.0, 0.0))
            else:
                slope = high / (high - least)
                row.append((1.0 if high > -least else 0.0, slope, -slope * least))
            following.append((max(least, 0.0), max(high, 0.0)))
        lines.append(row)
        current = following
    a = [p - q for p, q in zip(w[-1][other], w[-1][y], strict=True)]
    d = b[-1][other] - b[-1][y]
    if crown:
        return highest(a, d, len(linears) - 1, lines)
    return d + top(a, current)


@pytest.mark.parametrize("crown", [False, True])
@pytest.mark.parametrize("radius", [0.02, 0.1, 0.4])
def test_equals_a_naive_twin(crown: bool, radius: float) -> None:
    model = mlp((4, 8, 8, 3), seed=3, scale=1.5)
    x = torch.rand(5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    goal = Untargeted(torch.zeros(5, dtype=torch.long))
    space = region(LInf(radius=radius), x)
    bounds = propagate(read(model, x), space, "crown" if crown else "ibp")
    found = margins(bounds, *goal.linear(3), relax=crown)
    twin = torch.tensor([[naive(model, r, 0, k, 0, radius, crown) for k in (1, 2)] for r in x])
    assert torch.allclose(found, twin.double(), atol=1e-6)
    exact = [[naive(model, r, 0, k, 0, radius, crown) for k in (1, 2)] for r in x]
    assert (found - torch.tensor(exact, dtype=torch.float64)).abs().max() < 1e-9
    assert (found >= torch.tensor(exact, dtype=torch.float64) - 1e-12).all()


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize(("threat", "order"), [(LInf, torch.inf), (L2, 2.0), (L1, 1.0)])
def test_exact_on_a_linear_model(method, threat, order: float) -> None:
    world = three_class()
    found = method(world.model, world.x, world.goal, threat(radius=0.1)).margin
    assert torch.allclose(found, world.worst(0.1, order), atol=1e-9)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_above_the_exact_worst_margin(method) -> None:
    for seed in range(8):
        world = TinyReLU.make(seed=seed)
        for radius in (0.01, 0.05, 0.2):
            found = method(world.model, world.x, world.goal, LInf(radius=radius)).margin
            assert (found >= world.worst(radius)).all()


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("threat", [LInf(radius=0.03), L2(radius=0.1), L1(radius=0.3)], ids=repr)
def test_sound_on_residual_nets(method, threat) -> None:
    """Convolutions with stride, dilation, groups; batch norm; shortcut; pooling."""
    for seed in range(3):
        model = residual(seed)
        g = torch.Generator().manual_seed(seed)
        x = torch.rand(3, 2, 8, 8, generator=g, dtype=torch.float64)
        with torch.no_grad():
            goal = Untargeted(model(x).argmax(1))
        found = method(model, x, goal, threat).margin
        best = torch.full_like(found, -torch.inf)
        change = threat.none(x)
        for step in range(20):
            probe = change.clone().requires_grad_(True)
            margin = goal(threat.through(model, x, probe))
            (gradient,) = torch.autograd.grad(margin.sum(), probe)
            best = torch.maximum(best, margin.detach())
            noise = torch.randn(x.shape, generator=g, dtype=x.dtype) * (step % 2)
            change = threat.project(x, change + threat.steepest(x, change, gradient + noise) / 4)
        assert (best <= found).all()
        assert (best > found - 50).all()  # not vacuous either


def test_crown_is_never_looser_and_much_tighter() -> None:
    model, g = mlp((16, 32, 32, 5), seed=1, scale=2.0), torch.Generator().manual_seed(0)
    x = torch.rand(20, 16, generator=g, dtype=torch.float64)
    with torch.no_grad():
        goal = Untargeted(model(x).argmax(1))
    ibp, crown, mixed = (
        m(model, x, goal, LInf(radius=0.03)).margin for m in (METHODS[0], METHODS[1], METHODS[2])
    )
    clean = goal(model(x)).detach()
    assert (crown <= ibp).all() and (mixed <= ibp).all()
    assert (crown - clean).mean() * 2 < (ibp - clean).mean()


def test_stable_relus_are_exact() -> None:
    model = mlp((6, 10, 3), seed=4)
    with torch.no_grad():
        model[0].bias.add_(5.0)
    x = torch.full((1, 6), 0.5, dtype=torch.float64)
    goal = Untargeted(torch.tensor([0]))
    found = CROWN()(model, x, goal, LInf(radius=0.1)).margin
    weight = model[2].weight @ model[0].weight
    row = weight[1:] - weight[0]
    z = model(x)
    exact = (z[0, 1:] - z[0, 0] + 0.1 * row.abs().sum(1)).max()
    assert torch.allclose(found, exact[None], atol=1e-9)


def test_holds_in_exact_arithmetic() -> None:
    """The true worst margin, in fractions over all sign patterns at corners, lies below."""
    for seed in range(30):
        g = torch.Generator().manual_seed(seed)
        model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)).double()
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(torch.randint(-16, 17, p.shape, generator=g) / 8 * 1e4)
        x = torch.tensor([[0.5, 0.25]], dtype=torch.float64)
        goal = Untargeted(torch.tensor([0]))
        found = CROWN()(model, x, goal, LInf(radius=0.125)).margin
        ends = [[Fraction(3, 8), Fraction(5, 8)], [Fraction(1, 8), Fraction(3, 8)]]
        w1, b1, w2, b2 = (exact(p.tolist()) for p in model.parameters())
        for u in ends[0]:
            for v in ends[1]:
                h = [max(w[0] * u + w[1] * v + b, Fraction(0)) for w, b in zip(w1, b1, strict=True)]
                z = [
                    sum(a * c for a, c in zip(w, h, strict=True)) + b
                    for w, b in zip(w2, b2, strict=True)
                ]
                assert Fraction(float(found)) >= z[1] - z[0]


def exact(values):
    return [exact(v) for v in values] if isinstance(values, list) else Fraction(values)


def test_targeted_ways_and_other_goals() -> None:
    world = three_class()
    level = AtLeast(torch.zeros(16, dtype=torch.float64), position=1)
    found = IBP()(world.model, world.x, level, LInf(radius=0.05)).margin
    weight = world.model.weight[1]
    exact = world.model(world.x)[:, 1] + 0.05 * weight.abs().sum()
    assert torch.allclose(found, exact, atol=1e-9)
    with pytest.raises(Unsupported):
        IBP()(world.model, world.x, Targeted(world.y), LInf(radius=0.05))


class Bad(nn.Module):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.what, self.inner = what, nn.Linear(4, 3).double()

    def forward(self, x):
        if self.what == "lgamma":
            return self.inner(torch.lgamma(x))
        if self.what == "branch":
            return self.inner(x) if x.sum() > 0 else -self.inner(x)
        if self.what == "constant":
            return self.inner(torch.from_numpy(x.detach().numpy().copy()) + 0 * x)
        if self.what == "gram":
            return self.inner(x) @ (x.T @ self.inner(x))
        if self.what == "random":
            return self.inner(x + torch.rand_like(x))
        if self.what == "overwrite":
            z = self.inner(x)
            z.view(-1).relu_()
            return z
        return self.inner(x - x.mean(0))


@pytest.mark.parametrize(
    "what", ["lgamma", "branch", "constant", "gram", "random", "overwrite", "rows"]
)
def test_refuses_what_it_cannot_read(what: str) -> None:
    x = torch.rand(5, 4, dtype=torch.float64)
    with pytest.raises(Unsupported):
        CROWN()(Bad(what), x, Untargeted(torch.zeros(5, dtype=torch.long)), LInf(radius=0.01))


def test_names_the_operator_and_train_mode() -> None:
    x, goal = torch.rand(2, 4, dtype=torch.float64), Untargeted(torch.zeros(2, dtype=torch.long))
    with pytest.raises(Unsupported, match="lgamma"):
        IBP()(Bad("lgamma"), x, goal, LInf(radius=0.01))
    world = Images.make()
    world.model.train()
    with pytest.raises(Unsupported, match="training"):
        IBP()(world.model, world.x, world.goal, LInf(radius=0.01))
    world.model.eval()
    assert torch.equal(world.model.norm.running_mean, torch.zeros(4).double())


def test_a_closure_with_normalisation_is_read() -> None:
    model = mlp((4, 6, 3))
    x = torch.rand(3, 4, dtype=torch.float64)
    found = read(lambda z: model((z - 0.5) / torch.tensor([0.2] * 4).double()), x)
    assert torch.allclose(found(x), model((x - 0.5) / 0.2), atol=1e-6)


class OracleRes(nn.Module):
    def __init__(self, w: int = 8) -> None:
        super().__init__()
        self.c0, self.c1 = nn.Conv2d(3, w, 3, 2, 1), nn.Conv2d(w, w, 3, 1, 1)
        self.c2, self.c3 = nn.Conv2d(w, w, 3, 1, 1), nn.Conv2d(w, 2 * w, 3, 2, 1)
        self.c4, self.sc = nn.Conv2d(2 * w, 2 * w, 3, 1, 1), nn.Conv2d(w, 2 * w, 1, 2)
        for i, k in enumerate((w, w, w, 2 * w, 2 * w)):
            setattr(self, f"b{i}", nn.BatchNorm2d(k))
        self.l1, self.l2 = nn.Linear(2 * w * 64, 100), nn.Linear(100, 10)

    def forward(self, x):
        x = F.relu(self.b0(self.c0(x)))
        x = F.relu(x + self.b2(self.c2(F.relu(self.b1(self.c1(x))))))
        y = self.b4(self.c4(F.relu(self.b3(self.c3(x)))))
        x = F.relu(self.sc(x) + y)
        return self.l2(F.relu(self.l1(x.flatten(1))))


def oracle_net(name: str) -> nn.Module:
    if name == "mlp":
        shape = (784, 256, 256, 256, 10)
        parts = [p for n, m in pairwise(shape) for p in (nn.Linear(n, m), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *parts[:-1])
    if name == "cnn":
        return nn.Sequential(
            nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(1568, 100), nn.ReLU(), nn.Linear(100, 10),
        )  # fmt: skip
    return OracleRes()


@pytest.mark.parametrize(
    ("name", "kind", "eps"),
    [(n, k, e) for n in ("mlp", "cnn") for k in ("IBP", "CROWN-IBP", "CROWN") for e in (0.02, 0.08)]
    + [("res", k, e / 255) for k in ("IBP", "CROWN-IBP", "CROWN") for e in (0.5, 2)],
)
def test_equals_frozen_bounds_of_another_engine(name: str, kind: str, eps: float) -> None:
    folder = Path(os.environ.get("HOLDFAST_ORACLE", ""))
    file = folder / f"linear_bounds_{name}.pt"
    if "HOLDFAST_ORACLE" not in os.environ or not file.exists():
        pytest.skip("HOLDFAST_ORACLE does not name a folder with linear_bounds_*.pt")
    frozen = torch.load(file, weights_only=True)
    model = oracle_net(name)
    model.load_state_dict(frozen["state_dict"])
    model.double().eval()  # in float32 the model's own rounding would be added to the formula
    keep = slice(0, 1 if name == "res" else 3)
    x, spec = frozen["x"][keep].double(), frozen["spec"][keep].double()
    threat = LInf(radius=eps, low=-10.0, high=10.0)  # the ball is not cut there
    with torch.no_grad():
        bounds = propagate(read(model, x), region(threat, x), "crown" if kind == "CROWN" else "ibp")
        found = -margins(bounds, -spec, torch.zeros(spec.shape[:2]).double(), relax=kind != "IBP")
    theirs = frozen["lower_bounds"][f"{kind}@{eps:.6f}"][keep].double()
    # float32 there.
    assert ((found - theirs).abs() <= 1e-4 + 5e-5 * theirs.abs()).all()
