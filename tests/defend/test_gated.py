"""A gate between two routes, and learning from a robust teacher on spoilt rows."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.defend.gated import Cut, Gating, uncertainty
from holdfast.objectives.taught import Taught
from holdfast.run.training import TrainingRun


def net(seed: int, size: float = 1.0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = nn.Linear(4, 3).double()
    with torch.no_grad():
        made.weight.mul_(size)
    return made


def batch(rows: int = 9) -> Batch:
    x = torch.rand(rows, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Batch(x, torch.arange(rows) % 3, torch.arange(rows))


def darker(given: Batch, severity: float, dice: Dice | None = None) -> Batch:
    return given._replace(x=given.x * (1 - severity / 2))


def test_forced_routes_are_the_models_bit_for_bit():
    clean, robust, x = net(0), net(1), batch().x
    cut = Cut((0.2, 0.1), (0.9, 0.1))
    for route, model in (("clean", clean), ("robust", robust)):
        assert torch.equal(Gating(robust=robust, cut=cut, route=route)(clean)(x), model(x))


def test_each_row_takes_the_denser_route():
    clean, robust = net(0, 6.0), net(1)
    x = torch.cat([batch(20).x, 0.05 * batch(20).x])
    cut = Cut((0.2, 0.2), (1.0, 0.1))
    u = uncertainty(clean(x))

    def height(mean, spread):
        return torch.exp(-(((u - mean) / spread) ** 2) / 2) / (spread * math.sqrt(2 * math.pi))

    spoilt = height(*cut.spoilt) > height(*cut.usual)
    out = Gating(robust=robust, cut=cut)(clean)(x)
    assert 0 < int(spoilt.sum()) < 40
    assert torch.equal(out[spoilt], robust(x)[spoilt])
    assert torch.equal(out[~spoilt], clean(x)[~spoilt])


def test_a_cut_has_the_moments_of_the_uncertainty():
    model, b = net(0), batch(30)
    data = Batches(x=b.x, y=b.y, size=7)
    cut = Cut.fit(model, data, replace(data, x=b.x * 0.1))
    u = uncertainty(model(b.x)).detach()
    assert cut.usual == pytest.approx((float(u.mean()), float(u.std())))
    p = model(b.x).softmax(1).detach()
    assert torch.allclose(u, -(p * p.log()).sum(1))
    with pytest.raises(Unsupported, match="two rows"):
        Cut.fit(model, data, data.take(slice(0, 1)))
    with pytest.raises(ConfigError, match="cut"):
        Gating(robust=model)(model)


def test_taught_is_its_formula():
    model, teacher, b = net(0), net(1), batch()
    objective = Taught(teacher=teacher, shift=darker, weight=0.7, temperature=3.0)
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(9), 1)
    losses = objective(run, b)

    def lost(x):
        q = (teacher(x) / 3).softmax(1).detach()
        far = (q * (q.log() - (model(x) / 3).log_softmax(1))).sum(1)
        return F.cross_entropy(model(x), b.y, reduction="none") + 0.7 * 9 * far

    levels = [(lost(b.x) + lost(darker(b, k / 5).x)) / 2 for k in range(1, 6)]
    assert sum(torch.allclose(losses, level, atol=1e-10) for level in levels) == 1
    plain = replace(objective, weight=0.0, severity=0.0, teacher=None)
    assert torch.equal(plain(run, b), F.cross_entropy(model(b.x), b.y, reduction="none"))
    with pytest.raises(ConfigError, match="teacher"):
        replace(objective, teacher=None)(run, b)
