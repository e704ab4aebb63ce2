"""Penalties against naive twins: full Jacobians, pairs by enumeration, integrals by captum."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.compress.orthonormal import deviation, filters, make_orthonormal
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.attribution import Attributing, AttributionProtection, attributed
from holdfast.objectives.consistent import Consistent, jensen_shannon, shaken
from holdfast.objectives.geodesic import Geodesic, partners
from holdfast.objectives.jacobian import JacobianNorm
from holdfast.objectives.orthonormal import Orthonormality
from holdfast.objectives.penalized import Penalized
from holdfast.objectives.perceptual import PerceptualGradients, ToMean, ToRow
from holdfast.objectives.supervised import Supervised
from holdfast.ops.transport import between, gaussian_map, matching
from holdfast.run.training import TrainingRun
from holdfast.testing.laws.objective import losses_of, world
from holdfast.threats.norms import LInf


def linear(seed=0, classes=3, inputs=4):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Linear(inputs, classes).double()


def smooth():
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return nn.Sequential(nn.Linear(4, 8), nn.Softplus(beta=10), nn.Linear(8, 3)).double()


# the sum


def test_a_penalty_is_added_and_nothing_at_weight_zero():
    model, batch = world()
    base, price = losses_of(Supervised(), model, batch), JacobianNorm(directions=0)
    both = losses_of(Penalized(penalty=price, weight=0.3), model, batch)
    assert torch.allclose(both, base + 0.3 * losses_of(price, model, batch))
    assert torch.equal(losses_of(Penalized(penalty=price, weight=0.0), model, batch), base)
    twice = Penalized(base=Penalized(penalty=price, weight=0.3), penalty=price, weight=0.2)
    assert torch.allclose(
        losses_of(twice, model, batch), base + 0.5 * losses_of(price, model, batch)
    )
    assert Penalized(penalty=Geodesic()).coupled and not Penalized().coupled


def test_penalties_leave_running_statistics_to_the_base():
    model, batch = world(norm=True)
    twin, _ = world(norm=True)
    losses = losses_of(Penalized(weight=1.0), model, batch)
    losses.mean().backward()
    losses_of(Supervised(), twin, batch)
    assert torch.equal(model[1].running_mean, twin[1].running_mean)
    assert torch.equal(model[1].running_var, twin[1].running_var)


def test_a_penalty_goes_with_an_adversarial_base():
    model, batch = world()
    attack = PGD(steps=2, climb="soft")
    base = AdversarialTraining(attack=attack, threat=LInf(radius=0.1))
    both = losses_of(Penalized(base=base, weight=0.5), model, batch)
    parts = losses_of(base, model, batch) + 0.5 * losses_of(JacobianNorm(), model, batch)
    assert torch.allclose(both, parts)


# slopes


def test_jacobian_norm_is_that_of_the_full_jacobian():
    model, batch = world()
    full = torch.func.vmap(torch.func.jacrev(lambda row: model(row)))(batch.x)
    truth = full.square().sum((1, 2)) / 2
    assert torch.allclose(losses_of(JacobianNorm(directions=0), model, batch), truth, atol=1e-10)
    flat = linear()
    exact = losses_of(JacobianNorm(directions=0), flat, batch)
    assert torch.allclose(exact, flat.weight.square().sum().expand(6) / 2)


def test_random_directions_have_the_right_mean():
    flat, (_, batch) = linear(), world()
    drawn = losses_of(JacobianNorm(directions=4096), flat, batch)
    assert torch.allclose(drawn, flat.weight.square().sum().expand(6) / 2, rtol=0.03)
    one = losses_of(JacobianNorm(), flat, batch)
    assert float(one.detach().std()) > 0.01  # every row its own direction


def test_slopes_of_a_linear_softmax_are_known():
    flat, (_, batch) = linear(), world()
    ways = ToMean(torch.rand(3, 4, generator=torch.Generator().manual_seed(7)).double())
    found = losses_of(PerceptualGradients(ways=ways), flat, batch)
    p = flat(batch.x).softmax(1)
    truth = []
    for c in range(3):
        steep = flat.weight[c] - p @ flat.weight
        truth.append(1 - F.cosine_similarity(steep, ways.means[c] - batch.x, dim=1))
    assert torch.allclose(found, torch.stack(truth).mean(0))
    with pytest.raises(ConfigError):
        losses_of(PerceptualGradients(), flat, batch)


def test_ways_lead_to_means_nearest_and_drawn_rows():
    x = torch.rand(12, 4, generator=torch.Generator().manual_seed(2)).double()
    data = Batches(x=x, y=torch.arange(12) % 3, size=12)
    target, dice = (torch.arange(12) + 1) % 3, Dice.of(12)
    mean = ToMean.fit(data)(x, target, dice)
    assert torch.allclose(mean, torch.stack([x[data.y == c].mean(0) for c in target]) - x)
    near = ToRow.fit(data)(x, target, dice)
    for i in range(12):
        own = x[data.y == target[i]]
        assert torch.allclose(near[i], own[(own - x[i]).norm(dim=1).argmin()] - x[i])
    itself = ToRow.fit(data)(x, data.y, dice)
    assert bool((itself.norm(dim=1) > 1e-3).all())
    any_row = ToRow.fit(data, nearest=False)(x, target, dice) + x
    assert all(bool((data.x[data.y == t] == r).all(1).any()) for r, t in
               zip(any_row, target, strict=True))  # fmt: skip
    with pytest.raises(Unsupported):
        ToMean.fit(data.take(data.y != 1))


# attributions


def test_attributions_are_integrated_gradients():
    captum = pytest.importorskip("captum.attr")
    model, (_, batch) = smooth(), world()
    own = attributed(model, batch.x, batch.y, 64)
    theirs = captum.IntegratedGradients(model).attribute(
        batch.x, target=batch.y, n_steps=64, method="riemann_middle"
    )
    assert torch.allclose(own, theirs, atol=1e-8)
    rows = torch.arange(6)
    gained = model(batch.x)[rows, batch.y] - model(torch.zeros(1, 4).double())[0, batch.y]
    assert torch.allclose(own.sum(1), gained, rtol=0.02, atol=1e-3)


def test_attribution_penalty_is_the_cosine_of_both():
    model, (_, batch) = smooth(), world()
    price = AttributionProtection(attack=PGD(steps=2, climb="soft"), threat=LInf(radius=0.0))
    assert torch.allclose(losses_of(price, model, batch), torch.zeros(6).double(), atol=1e-6)
    wide = AttributionProtection(attack=PGD(steps=2, climb="soft"), threat=LInf(radius=0.3))
    found = losses_of(wide, model, batch)
    assert bool((found > 1e-4).all() and (found <= 2).all())
    maps = Attributing(model, batch.y, 8)
    leaf = batch.x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(maps(leaf)[:, 0].sum(), leaf)
    assert bool((slope != 0).any())


# views


def test_divergence_of_answers():
    z = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    p = z.softmax(-1)
    m = p.mean(0)
    naive = sum(F.kl_div(m.log(), q, reduction="none").sum(1) for q in p) / 3
    assert torch.allclose(jensen_shannon(z), naive)
    assert torch.allclose(jensen_shannon(z[:1].expand(3, -1, -1)), torch.zeros(5).double())
    apart = 100 * torch.eye(3, dtype=torch.float64)[:, None].expand(3, 5, 3)
    assert torch.allclose(jensen_shannon(apart), torch.tensor(3.0).log().double().expand(5))
    model, batch = world()
    none = Consistent(shift=shaken, severity=0.0)
    assert torch.allclose(losses_of(none, model, batch), torch.zeros(6).double(), atol=1e-12)


# weights


def test_orthonormal_filters_cost_nothing_and_the_gradient_is_known():
    model = nn.Sequential(nn.Conv2d(2, 5, 3), nn.ConvTranspose2d(5, 3, 2), nn.Linear(4, 9)).double()
    make_orthonormal(model, torch.Generator().manual_seed(0))
    for w in filters(model):
        assert w.shape[0] <= w.shape[1]
        assert torch.allclose(w @ w.T, torch.eye(len(w)).double(), atol=1e-6)
    assert float(deviation(model).detach()) < 1e-10
    layer = linear(inputs=7)
    deviation(layer).backward()
    w = layer.weight.detach()
    assert torch.allclose(layer.weight.grad, 2 * (w @ w.T - torch.eye(3).double()) @ w)
    model, batch = world()
    assert losses_of(Orthonormality(), model, batch).unique().numel() == 1


# ways between classes


def test_partners_are_the_best_of_all_permutations():
    g = torch.Generator().manual_seed(5)
    a, b = torch.rand(6, 3, generator=g), torch.rand(6, 3, generator=g)
    cost = torch.cdist(a, b).square()
    best = min(
        sum(float(cost[i, p]) for i, p in enumerate(order))
        for order in itertools.permutations(range(6))
    )
    found = matching(a, b)
    assert float(cost[torch.arange(6), found].sum()) == pytest.approx(best)
    line, other = torch.rand(9, 1, generator=g), torch.rand(9, 1, generator=g)
    order = matching(line, other)
    assert torch.equal(line[:, 0].argsort().argsort(), other[order, 0].argsort().argsort())
    assert matching(a, b[:2]).bincount().tolist() == [3, 3]


def test_clouds_on_the_way_lie_at_distances_in_proportion():
    g = torch.Generator().manual_seed(6)
    a, b = torch.rand(8, 2, generator=g).double(), 1 + torch.rand(8, 2, generator=g).double()
    b = b[matching(a, b)]

    def distance(u, v):
        return float((u - v[matching(u, v)]).square().sum(1).mean().sqrt())

    for t in (0.0, 0.3, 1.0):
        assert distance(a, between(a, b, t)) == pytest.approx(t * distance(a, b), abs=1e-6)
    assert torch.equal(between(a, b, 0.0), a) and torch.equal(between(a, b, 1.0), b)


def test_the_plan_of_two_normal_clouds_is_the_closed_form():
    g = torch.Generator().manual_seed(8)
    roots = torch.randn(2, 2, 2, generator=g, dtype=torch.float64)
    cov = tuple(r @ r.T + 0.2 * torch.eye(2).double() for r in roots)
    mean = (torch.zeros(2).double(), torch.tensor([3.0, -1.0]).double())
    a, c = gaussian_map(mean, cov)
    assert torch.allclose(a @ cov[0] @ a.T, cov[1])
    x0, x1 = (m + torch.randn(500, 2, generator=g).double() @ torch.linalg.cholesky(s).T
              for m, s in zip(mean, cov, strict=True))  # fmt: skip
    found, known = x1[matching(x0, x1)] - x0, x0 @ a.T + c - x0
    assert float(F.cosine_similarity(found, known, dim=1).mean()) > 0.98


def test_geodesic_loss_is_that_of_mixed_rows():
    model, batch = world()
    run = TrainingRun(model, nn.ModuleDict(), Dice(0, batch.index), 1)
    dice = run.dice.spawn("geodesic")
    partner = partners(batch.x, batch.y, dice.generator("circle"))
    assert bool((batch.y[partner] != batch.y).all())
    t = float(torch.rand((), generator=dice.generator("t")))
    z = model((1 - t) * batch.x + t * batch.x[partner])
    two = (1 - t) * F.cross_entropy(z, batch.y, reduction="none")
    two += t * F.cross_entropy(z, batch.y[partner], reduction="none")
    assert torch.allclose(losses_of(Geodesic(smooth=0.0), model, batch), two)
    losses = losses_of(Geodesic(smooth=1.0), model, batch)
    assert bool((losses > two).all())
    worst = losses_of(Geodesic(smooth=0.0, t="worst"), model, batch)
    ends = F.cross_entropy(model(batch.x), batch.y)
    assert float(worst.mean()) >= float(ends) - 1e-9
    alone = Batch(batch.x, torch.tensor([1, 1, 1, -100, 1, 1]), batch.index)
    assert float(losses_of(Geodesic(), model, alone)[3].abs()) == 0.0
