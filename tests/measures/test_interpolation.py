"""Forced slopes: by hand, attained, never beaten."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.layers.mcshane import McShane
from holdfast.measures.data.interpolation import interpolation_lipschitz, law_of_robustness

NORMS = ("l1", "l2", "linf")


def data(count: int = 60, size: int = 3) -> Batches:
    g = torch.Generator().manual_seed(0)
    x = torch.rand(count, size, generator=g).double()
    return Batches(x=x, y=torch.randn(count, generator=g).double())


def test_a_pair_by_hand() -> None:
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    batches = Batches(x=x, y=torch.tensor([0.0, 10.0, 0.0]))
    for norm, far in (("l1", 6.0), ("l2", 18**0.5), ("linf", 3.0)):
        found = interpolation_lipschitz(batches, norm=norm, labels="numbers", tolerance=0.5)
        assert found.lower == pytest.approx(9 / far) and set(found.pair) == {1, 2}
    classes = interpolation_lipschitz(batches)
    assert classes.lower == pytest.approx(1 / 18**0.5)
    assert float(classes.radius[1]) == pytest.approx(18**0.5 / 2)


@pytest.mark.parametrize("norm", NORMS)
def test_the_bound_is_attained(norm: str) -> None:
    batches = data()
    least = interpolation_lipschitz(batches, norm=norm, labels="numbers").lower
    model = McShane(batches.x, batches.y, least, norm=norm)
    assert torch.allclose(model(batches.x)[:, 0], batches.y, atol=1e-9)
    z = torch.rand(200, 3, generator=torch.Generator().manual_seed(1)).double()
    seen = interpolation_lipschitz(Batches(x=z, y=model(z)[:, 0]), norm=norm, labels="numbers")
    assert seen.lower <= least * (1 + 1e-9)
    flatter = McShane(batches.x, batches.y, 0.9 * least, norm=norm)
    assert float((flatter(batches.x)[:, 0] - batches.y).abs().max()) > 1e-3


def test_no_trained_net_is_flatter() -> None:
    batches = data(20)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 1)).double()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        (net(batches.x)[:, 0] - batches.y).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        fitted = net(batches.x)[:, 0]
    error = float((fitted - batches.y).abs().max())
    least = interpolation_lipschitz(batches, labels="numbers", tolerance=error).lower
    own = interpolation_lipschitz(Batches(x=batches.x, y=fitted), labels="numbers").lower
    assert least > 0 and own >= least - 1e-9


def test_contradictions_refusals_and_scales() -> None:
    same = Batches(x=torch.zeros(3, 2), y=torch.tensor([0, 1, 0]))
    found = interpolation_lipschitz(same)
    assert found.lower == float("inf")
    assert {r.name: r.value for r in found.readings()}["interpolation.contradicting"] == 1.0
    with pytest.raises(ShapeError):
        interpolation_lipschitz(same.take(slice(0, 1)))
    with pytest.raises(ConfigError):
        interpolation_lipschitz(same, tolerance=-1.0)
    with pytest.raises(Unsupported):
        interpolation_lipschitz(Batches(x=["a", "b"], y=torch.zeros(2)))
    law = law_of_robustness(100, 4, 25)
    assert (law.isoperimetric, law.parameters) == (4.0, 4.0)
    assert law.dimension == pytest.approx(100**0.25)
