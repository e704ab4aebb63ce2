"""Explainers against captum, closed forms and the completeness identity."""

import captum.attr
import pytest
import torch
from torch import nn

from holdfast.core.errors import ShapeError, Unsupported
from holdfast.explain.integrated_gradients import IntegratedGradients, nodes
from holdfast.explain.saliency import Saliency


def net(act=nn.Tanh, bias=True):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 12, bias=bias), act(), nn.Linear(12, 3, bias=bias)).double()


def first(out):
    return out[:, 0]


X = torch.rand(5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_saliency_against_captum():
    model = net()
    want = captum.attr.Saliency(model).attribute(X.clone().requires_grad_(), 0, abs=False)
    assert torch.allclose(Saliency()(model, X, first), want, atol=1e-12)
    assert torch.allclose(Saliency(form="absolute")(model, X, first), want.abs(), atol=1e-12)
    times = captum.attr.InputXGradient(model).attribute(X.clone().requires_grad_(), 0)
    assert torch.allclose(Saliency(form="times-input")(model, X, first), times, atol=1e-12)


@pytest.mark.parametrize(
    ("rule", "method"), [("gauss", "gausslegendre"), ("midpoint", "riemann_middle")]
)
@pytest.mark.parametrize("act", [nn.Tanh, nn.ReLU])
def test_integrated_gradients_against_captum(rule, method, act):
    model, base = net(act), torch.full((1, 6), 0.3, dtype=torch.float64)
    want = captum.attr.IntegratedGradients(model).attribute(X, base, 0, n_steps=20, method=method)
    got = IntegratedGradients(steps=20, rule=rule)(model, X, first, baseline=base)
    assert torch.allclose(got, want, atol=1e-5)


def test_homogeneous_nets_split_their_output():
    model = net(nn.ReLU, bias=False)
    total = Saliency(form="times-input")(model, X, first).sum(1)
    assert torch.allclose(total, first(model(X)), atol=1e-10)
    biased = net(nn.ReLU)
    total = Saliency(form="times-input")(biased, X, first).sum(1)
    assert not torch.allclose(total, first(biased(X)), atol=1e-3)


def test_products_are_shared_evenly_and_quadratics_are_exact():
    x = torch.tensor([[2.0, 3.0]], dtype=torch.float64)
    got = IntegratedGradients(steps=2)(lambda x: x.prod(1, keepdim=True), x, first)
    assert torch.allclose(got, torch.tensor([[3.0, 3.0]], dtype=torch.float64))


def test_saturated_functions_are_still_explained():
    def saturated(x):
        return 1 - torch.relu(1 - x)

    x = torch.tensor([[2.0]], dtype=torch.float64)
    assert Saliency()(saturated, x, first).item() == 0
    got = IntegratedGradients(steps=200, rule="midpoint")(saturated, x, first)
    assert got.item() == pytest.approx(1.0)


@pytest.mark.parametrize("rule", ["gauss", "midpoint", "trapezoid"])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_rules_integrate_lines_exactly(rule, steps):
    place, weight = nodes(rule, steps)
    assert sum(weight) == pytest.approx(1)
    assert sum(p * w for p, w in zip(place, weight, strict=True)) == pytest.approx(0.5)


def test_what_cannot_be_explained_is_refused():
    for method in (Saliency(), IntegratedGradients()):
        with pytest.raises(Unsupported):
            method(lambda x: x, torch.zeros(2, 3, dtype=torch.long), first)
        with pytest.raises(ShapeError):
            method(net(), X, lambda out: out)
    with pytest.raises(ShapeError):
        IntegratedGradients()(net(), X, first, baseline=torch.zeros(4))
