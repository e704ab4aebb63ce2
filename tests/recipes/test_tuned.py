"""Criticality of layers against a search of the plane, and tuning of the least critical one."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.claims.digits import split
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Later
from holdfast.measures.model.criticality import robust_criticality
from holdfast.merge.between import interpolated
from holdfast.recipes.tuned import RobustCriticalTuning
from holdfast.threats.norms import LInf


def pair() -> nn.Sequential:
    """A hidden layer of two weights, which can be searched through."""
    net = nn.Sequential(nn.Linear(1, 2, bias=False), nn.Tanh(), nn.Linear(2, 2)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.5], [-0.8]]))
        net[2].weight.copy_(torch.tensor([[1.0, -0.5], [-1.0, 0.7]]))
        net[2].bias.copy_(torch.tensor([0.1, -0.1]))
    return net


def test_rise_is_that_of_a_search_of_the_plane():
    net = pair()
    rows = Batches(x=torch.tensor([[0.6]]).double(), y=torch.tensor([0]))
    found = robust_criticality(net, rows, threat=LInf(radius=0.1), radius=0.3, steps=30)
    x = rows.x - 0.1  # the logit of class 0 grows with x, so this is the worst change
    start = net[0].weight.detach()
    reach = 0.3 * start.norm()
    angles = torch.linspace(0, 2 * torch.pi, 2001).double()
    around = start.T + reach * torch.stack([angles.cos(), angles.sin()], 1)
    inside = torch.cat([start.T + f * (around - start.T) for f in (0.25, 0.5, 0.75, 1.0)])
    z = torch.tanh(inside * x) @ net[2].weight.T + net[2].bias
    losses = F.cross_entropy(z, rows.y.expand(len(z)), reduction="none")
    here = F.cross_entropy(net(x), rows.y)
    assert found.rises["0.weight"] == pytest.approx(float((losses.max() - here).detach()), abs=1e-3)
    assert set(found.rises) == {"0.weight", "2.weight"}


def test_rises_are_never_negative_and_grow_with_the_radius():
    data = split(0, 40)[0]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    near, far = (robust_criticality(net, data, radius=r, steps=4).rises for r in (0.01, 0.2))
    assert all(0 <= near[k] <= far[k] for k in near)
    ordered = robust_criticality(net, data, radius=0.2, steps=4)
    assert far[ordered.least] == min(far.values()) and far[ordered.most] == max(far.values())


def test_what_cannot_be_measured():
    data = split(0, 8)[0]
    with pytest.raises(ConfigError, match="at least 1"):
        robust_criticality(nn.Linear(64, 10), data, steps=0)
    with pytest.raises(Unsupported, match="labelled"):
        robust_criticality(nn.Linear(64, 10), replace(data, y=torch.full((8,), -100)))


def test_interpolation_ends_where_it_starts():
    a, b = pair().state_dict(), {k: v + 1 for k, v in pair().state_dict().items()}
    assert all(torch.equal(v, a[k]) for k, v in interpolated(a, b, 0.0).items())
    assert all(torch.equal(v, b[k]) for k, v in interpolated(a, b, 1.0).items())
    assert all(torch.allclose(v, a[k] + 0.25) for k, v in interpolated(a, b, 0.25).items())


def test_only_one_layer_moves_and_not_at_the_price_of_robustness():
    data = split(0, 120)[0]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    recipe = RobustCriticalTuning(
        layer="2.weight", epochs=3, optimizer=Later("torch:Adam", lr=1e-2), points=3, steps=2
    )
    row = recipe(net, data).history[-1]
    moved = {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == ({"2.weight"} if row["share"] else set()) and row["share"] in (
        0,
        1 / 3,
        2 / 3,
        1,
    )


def test_where_nothing_may_be_lost_and_nothing_is_won_the_net_stays():
    data = split(0, 120)[0]
    net = nn.Linear(64, 10)
    before = net.weight.detach().clone()
    still = RobustCriticalTuning(optimizer=Later("torch:SGD", lr=1e-12), points=2, steps=1)
    assert still(net, data).history[-1]["share"] == 0 and torch.equal(net.weight, before)
