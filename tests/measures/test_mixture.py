"""Mixtures of experts, their routing under attack, and channels that bear noise."""

import pytest
import torch
from torch import nn

from holdfast.attacks.features import NonRobustFeatures
from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import Untargeted
from holdfast.layers.mixture import TopKMoE
from holdfast.measures.model.channels import channels, information, variances
from holdfast.measures.model.feature_split import feature_split
from holdfast.measures.model.mixture import forced, mixtures, routes, selected
from holdfast.measures.model.mixture_slope import chain_lipschitz, mixture_slope
from holdfast.measures.model.routing import routing_stability
from holdfast.measures.model.site import Site
from holdfast.run.search import search
from holdfast.threats.norms import L2, LInf


def mixture(k=2, seed=0, experts=4):
    torch.manual_seed(seed)
    made = [nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)) for _ in range(experts)]
    return TopKMoE(made, nn.Linear(4, experts), k=k).double().eval()


X = torch.rand(40, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_mixture_is_the_naive_sum(k):
    model = mixture(k)
    scores = model.router(X)
    for row in range(5):
        best = scores[row].topk(k or 4).indices
        shares = scores[row][best].softmax(0)
        parts = [s * model.experts[i](X[row]) for s, i in zip(shares, best.tolist(), strict=True)]
        assert torch.allclose(model(X)[row], sum(parts))
    assert torch.allclose(model.routing(X).sum(1), torch.ones(40).double())
    assert model(X[:0]).shape == (0, 3)
    with pytest.raises(ConfigError):
        TopKMoE([], nn.Linear(4, 1))


def test_gradient_of_a_mixture_reaches_experts_and_router():
    model = mixture(2)
    model(X).sum().backward()
    assert bool((model.router.weight.grad != 0).any())


def test_forced_routing_is_obeyed_and_forgotten():
    model = nn.Sequential(mixture(1), nn.Identity())
    layers = mixtures(model)
    turned = [s.roll(1, 1) for s in routes(model, X)]
    before = model(X)
    with forced(layers, turned):
        inside = model(X)
    assert torch.allclose(inside, layers[0].combine(X, turned[0]))
    assert torch.equal(model(X), before) and not torch.allclose(inside, before)
    with pytest.raises(Unsupported):
        mixtures(nn.Linear(2, 2))


def test_selected_experts():
    shares = torch.tensor([[0.0, 0.7, 0.3], [0.2, 0.5, 0.3]])
    assert selected(shares).tolist() == [[False, True, True], [False, True, False]]


def test_equal_experts_make_every_routing_the_same():
    model = mixture(1)
    for expert in model.experts:
        expert.load_state_dict(model.experts[0].state_dict())
    y = model(X).argmax(1)
    found = routing_stability(model, Batches(x=X, y=y, size=16), threat=LInf(radius=0.1),
                              attack=PGD(steps=5))  # fmt: skip
    assert torch.equal(found.right["attacked"], found.right["clean-routing"])
    assert bool(found.right["attacked-routing"].all() and found.right["random-experts"].all())
    assert torch.equal(found.right["attacked"], found.right["held-router"])
    slope = mixture_slope(mixture_of_equals(), Batches(x=X, y=y), radius=0.2)
    assert bool((slope.routing == 0).all())


def mixture_of_equals():
    model = mixture(0)
    for expert in model.experts:
        expert.load_state_dict(model.experts[0].state_dict())
    return model


def test_lipschitz_constant_of_a_chain():
    torch.manual_seed(1)
    one, two = nn.Linear(3, 4).double(), nn.Linear(4, 2).double()
    truth = torch.linalg.matrix_norm(one.weight, 2) * torch.linalg.matrix_norm(two.weight, 2) / 4
    assert chain_lipschitz(nn.Sequential(one, nn.Sigmoid(), two)) == pytest.approx(
        float(truth.detach())
    )
    with pytest.raises(Unsupported):
        chain_lipschitz(nn.Conv2d(1, 1, 3))


@pytest.mark.parametrize("k", [0, 1, 2])
def test_no_slope_exceeds_the_bound(k):
    model, g = mixture(k, seed=3), torch.Generator().manual_seed(2)
    found = mixture_slope(model, Batches(x=X, y=torch.zeros(40).long()), radius=0.1)
    for _ in range(25):
        ends = [X + 0.1 * nn.functional.normalize(torch.randn(40, 4, generator=g).double(), dim=1)
                * torch.rand(40, 1, generator=g).double() for _ in range(2)]  # fmt: skip
        with torch.no_grad():
            slope = (model(ends[0]) - model(ends[1])).norm(dim=1) / (ends[0] - ends[1]).norm(dim=1)
        assert bool((slope <= found.bound + 1e-9).all())


def test_information_is_zero_and_flat_at_the_variance():
    v = torch.tensor([0.01, 1.0, 25.0], dtype=torch.float64)
    noise = v.clone().requires_grad_()
    value = information(noise, v)
    (slope,) = torch.autograd.grad(value.sum(), noise)
    assert torch.allclose(value, torch.zeros(3).double(), atol=1e-7)
    assert torch.allclose(slope * v, torch.zeros(3).double(), atol=1e-7)
    assert bool((information(2 * v, v) > 0).all() and (information(v / 2, v) > 0).all())


def images(rows=12):
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(1, 5, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 16, 3)
    ).eval()
    return model, torch.rand(rows, 1, 4, 4)


def test_site_puts_back_what_it_took():
    model, x = images()
    for layer in ("", "0", "2"):
        site = Site(model, layer, x)
        z, out = site.both(x)
        assert torch.equal(site.head(x, z), out)
        assert not torch.equal(site.head(x, torch.zeros_like(z)), out)
    assert Site(model, "", x).module is model[1]
    assert Site(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)), "", torch.rand(2, 3)).enters
    with pytest.raises(ConfigError, match="no module"):
        Site(model, "nothing", x)


def test_an_ignored_channel_takes_noise_up_to_its_variance():
    model, x = images()
    with torch.no_grad():
        model[3].weight.view(3, 5, 16)[:, 2] = 0
        model[3].weight.view(3, 5, 16)[:, 4] *= 60
    y = model(x).argmax(1)
    found = channels(Site(model, "0", x), x, y, steps=200, dice=Dice.of(12))
    share = found.noise.square() / variances(found.features)
    assert bool(((share[:, 2] - 1).abs() < 0.1).all())
    assert float(share[:, 4].mean()) < 0.7
    assert torch.allclose(found.part(True) + found.part(False), found.features)


def test_noise_of_a_row_does_not_depend_on_the_others():
    model, x = images()
    y, dice = model(x).argmax(1), Dice.of(12)
    site = Site(model, "", x)
    whole = channels(site, x, y, steps=15, threshold="sample", dice=dice.part(slice(0, 12)))
    part = channels(site, x[3:6], y[3:6], steps=15, threshold="sample", dice=dice.part(slice(3, 6)))
    assert torch.allclose(whole.noise[3:6], part.noise, atol=1e-5)
    assert torch.equal(whole.robust[3:6], part.robust)


def test_split_of_a_layer_adds_up():
    model, x = images()
    found = feature_split(model, Batches(x=x, y=model(x).argmax(1)), steps=10)
    names = [r.name for r in found.readings()]
    assert names[0] == "feature-split.share" and len(names) == 5
    assert found.robust.shape == found.noise.shape == (12, 5)


@pytest.mark.parametrize("follow", ["rest", "against-rest", "robust", "against-robust"])
def test_feature_attack_wins_with_changes_inside_the_box(follow):
    model, x = images()
    goal = Untargeted(model(x).argmax(1))
    attack = NonRobustFeatures(steps=60, follow=follow, smallest=True)
    change = attack(model, x, goal, L2(radius=4.0))
    assert bool(((x + change >= -1e-6) & (x + change <= 1 + 1e-6)).all())
    found = search(NonRobustFeatures(steps=60, follow=follow), model, x, goal, L2(radius=4.0))
    assert bool(found.broken.any()) or follow != "rest"
    with pytest.raises(Unsupported):
        attack(model, x, goal, LInf(radius=0.1))
