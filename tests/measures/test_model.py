"""Measures of the model against dense linear algebra and closed forms."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.measures.model.lipschitz import local_lipschitz
from holdfast.measures.model.sharpness import curvature, sharpness
from holdfast.ops.derivative import gradient, hvp, jacobian_norm, lanczos


def world(rows=40, act=nn.Tanh):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), act(), nn.Linear(6, 3)).double()
    x = torch.rand(rows, 4, dtype=torch.float64)
    return model, Batches(x=x, y=torch.arange(rows) % 3, size=16)


def dense(model, batches):
    names = [k for k, _ in model.named_parameters()]
    shapes = [p.shape for p in model.parameters()]

    def loss(vector):
        parts = vector.split([s.numel() for s in shapes])
        weights = {k: p.reshape(s) for k, p, s in zip(names, parts, shapes, strict=True)}
        return F.cross_entropy(functional_call(model, weights, (batches.x,)), batches.y)

    centre = torch.cat([p.detach().flatten() for p in model.parameters()])
    return torch.autograd.functional.hessian(loss, centre), centre, loss


def test_hvp_is_the_dense_hessian():
    model, batches = world()
    full, centre, loss = dense(model, batches)
    v = torch.randn(len(centre), dtype=torch.float64)
    got = hvp(lambda w: loss(w["all"]), {"all": centre}, {"all": v})["all"]
    assert torch.allclose(got, full @ v, atol=1e-10)
    linear = hvp(lambda w: w["a"].sum(), {"a": v}, {"a": v})["a"]
    assert bool((linear == 0).all())


def test_lanczos_finds_the_ends_of_a_known_spectrum():
    g = torch.Generator().manual_seed(0)
    q = torch.linalg.qr(torch.randn(60, 60, generator=g, dtype=torch.float64)).Q
    values = torch.cat([torch.tensor([50.0, -30.0]), torch.linspace(-1, 1, 58)]).double()
    full = q @ torch.diag(values) @ q.T
    found, residual = lanczos(lambda v: full @ v, torch.ones(60).double(), steps=25)
    assert found[-1] == pytest.approx(50, rel=1e-8)
    assert found[0] == pytest.approx(-30, rel=1e-8)
    assert residual[-1] < 1e-4
    early, far = lanczos(lambda v: full @ v, torch.ones(60).double(), steps=2)
    assert early[-1] <= 50
    assert (values - early[-1]).abs().min() <= far[-1]


def test_lanczos_stops_in_an_invariant_space():
    found, residual = lanczos(lambda v: 3 * v, torch.ones(5).double(), steps=10)
    assert found.tolist() == pytest.approx([3.0])
    assert residual.max() < 1e-9


def test_curvature_is_that_of_the_dense_hessian():
    model, batches = world()
    values = torch.linalg.eigvalsh(dense(model, batches)[0])
    got = curvature(model, batches, steps=51, draws=150)
    assert got.top.value == pytest.approx(float(values[-1]), rel=1e-6)
    assert got.bottom.value == pytest.approx(float(values[0]), rel=1e-4, abs=1e-9)
    assert got.trace.value == pytest.approx(float(values.sum()), rel=0.15)
    assert got.trace.low - 0.02 <= float(values.sum()) <= got.trace.high + 0.02
    short = curvature(model, batches, steps=3)
    assert short.top.low <= float(values[-1]) + 1e-9


def test_batches_do_not_change_the_curvature():
    model, batches = world()
    whole = Batches(x=batches.x, y=batches.y, size=1000)
    a, b = curvature(model, batches), curvature(model, whole)
    assert a.top.value == pytest.approx(b.top.value, rel=1e-9)


def test_sharpness_of_a_small_ball_is_its_gradient_and_curvature():
    """L(w + e) - L(w) ~ radius * |g| + radius^2 * v'Hv / 2 along the gradient direction v."""
    model, batches = world()
    full, centre, loss = dense(model, batches)
    slope = torch.autograd.functional.jacobian(loss, centre)
    got = sharpness(model, batches, radius=1e-3, adaptive=False)
    v = slope / slope.norm()
    want = 1e-3 * slope.norm() + 5e-7 * v @ full @ v
    assert got.value == pytest.approx(float(want), rel=1e-3)
    assert got.bound == "lower"


def test_random_sharpness_is_half_the_mean_curvature():
    model, batches = world()
    full, centre, _ = dense(model, batches)
    got = sharpness(model, batches, radius=0.01, kind="random", draws=800, adaptive=False)
    want = 0.5 * 1e-4 * float(full.trace()) / len(centre)
    assert got.low - 1e-6 <= want <= got.high + 1e-6


def test_worst_is_sharper_than_random_and_grows_with_the_radius():
    model, batches = world()
    worst = [sharpness(model, batches, radius=r).value for r in (0.05, 0.2, 0.8)]
    assert worst == sorted(worst)
    assert worst[1] > sharpness(model, batches, radius=0.2, kind="random").value


def test_adaptive_sharpness_ignores_the_scale_of_layers():
    torch.manual_seed(0)
    a, b = nn.Linear(4, 8, bias=False).double(), nn.Linear(8, 3, bias=False).double()
    batches = world()[1]
    plain = nn.Sequential(a, nn.ReLU(), b)
    first = [sharpness(plain, batches, radius=0.3, steps=20, adaptive=k).value for k in (1, 0)]
    with torch.no_grad():
        a.weight *= 10
        b.weight /= 10
    again = [sharpness(plain, batches, radius=0.3, steps=20, adaptive=k).value for k in (1, 0)]
    assert again[0] == pytest.approx(first[0], rel=1e-6)
    assert again[1] > 1.5 * first[1]


def test_jacobian_norm_is_the_largest_singular_value():
    model, batches = world()
    x = batches.x[:5]
    full = torch.stack([torch.autograd.functional.jacobian(lambda v: model(v), r) for r in x])
    got = jacobian_norm(model, x, torch.randn_like(x), steps=60)
    want = torch.linalg.svdvals(full)[:, 0]
    assert torch.allclose(got, want, rtol=1e-4)
    assert bool((jacobian_norm(model, x, torch.randn_like(x), steps=1) <= want + 1e-9).all())
    assert bool((jacobian_norm(lambda v: torch.ones(len(v), 2), x, x) == 0).all())


def test_local_lipschitz_of_a_linear_model_is_its_spectral_norm():
    layer = nn.Linear(4, 3).double()
    got = local_lipschitz(layer, world()[1], steps=60)
    want = torch.linalg.matrix_norm(layer.weight, 2).item()
    assert torch.allclose(got.slope, torch.full((40,), want, dtype=torch.float64), rtol=1e-4)
    assert got.readings()[0].value == pytest.approx(want, rel=1e-4)


def test_local_lipschitz_sees_more_of_a_larger_neighbourhood():
    model, batches = world(act=nn.ReLU)
    one = local_lipschitz(model, batches, samples=1, steps=30).slope
    many = local_lipschitz(model, batches, samples=8, radius=0.5, steps=30).slope
    assert bool((many >= one - 1e-9).all())
    assert many.mean() > one.mean()


def test_gradient_of_what_does_not_depend_on_the_input_is_zero():
    x = torch.rand(3, 2)
    assert bool((gradient(lambda v: torch.ones(len(v)), x) == 0).all())


def test_what_cannot_be_measured_is_refused():
    model, batches = world()
    for measure in (sharpness, curvature):
        with pytest.raises(Unsupported):
            measure(lambda x: x, batches)
        with pytest.raises(Unsupported):
            measure(model, Batches(x=batches.x, y=torch.full((40,), -100)))
    with pytest.raises(Unsupported):
        local_lipschitz(model, Batches(x=["a"], y=torch.zeros(1).long()))
    with pytest.raises(ConfigError):
        sharpness(model, batches, radius=0.0)
