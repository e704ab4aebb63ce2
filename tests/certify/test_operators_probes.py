"""Every layer that is read: the record is the model, and no point leaves any bound."""

from __future__ import annotations

import pytest
import torch

from holdfast.certify.linear.alpha import AlphaCROWN
from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.crown import CROWN
from holdfast.certify.linear.ibp import IBP
from holdfast.certify.linear.region import Region
from holdfast.certify.reading.reader import read
from holdfast.core.goal import Untargeted
from holdfast.ops.interval import Box
from holdfast.testing.fuzz import METHODS, main, trial
from holdfast.testing.probes import PROBES, ProbeNet
from holdfast.threats.norms import LInf

NAMES = list(PROBES)


@pytest.mark.parametrize("name", NAMES)
def test_no_point_leaves_a_bound(name: str) -> None:
    """The clean outputs are among the points; the bounds are not vacuous either."""
    found = trial(name, NAMES.index(name), radius=0.05, points=600)
    assert found.points >= 1000 and set(found.outside) == set(METHODS)
    assert not any(found.outside.values()), found
    assert all(width < 1e4 for width in found.width.values()), found
    assert found.spread <= found.width["crown"] * (1 + 1e-9) + 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_in_float32_bounds_are_tight_at_a_point(name: str) -> None:
    """At radius zero all that is left is the model's own rounding, and it lies inside."""
    net = ProbeNet(name, 7, torch.float32)
    x = torch.rand(2, *net.shape, generator=torch.Generator().manual_seed(7))
    graph = read(net, x)
    bounds = propagate(graph, Region(Box(x.double(), x.double()), x.double()), "ibp")
    box = bounds.boxes[graph.output]
    with torch.no_grad():
        z = net(x).double()
    assert (z >= box.low).all() and (z <= box.high).all()
    assert ((box.high - box.low) <= 0.02 * (1 + z.abs())).all()
    assert torch.allclose(graph(x), z, atol=1e-4)


@pytest.mark.parametrize("name", ["multihead attention", "lstm", "gelu block", "grid sample"])
def test_the_certifiers_bound_them(name: str) -> None:
    net = ProbeNet(name, 3)
    x = torch.rand(3, *net.shape, generator=torch.Generator().manual_seed(3)).double()
    with torch.no_grad():
        goal = Untargeted(net(x).argmax(1))
    margins = [m(net, x, goal, LInf(radius=0.001)).margin for m in (IBP(), CROWN())]
    assert (margins[1] <= margins[0] + 1e-12).all() and (margins[1] < 0).any()
    with torch.no_grad():
        assert (goal(net(x)) <= margins[1]).all()


@pytest.mark.parametrize("name", ["layer norm", "mul", "masked attention", "floor"])
def test_optimised_choices_are_sound_and_no_looser(name: str) -> None:
    net = ProbeNet(name, 1)
    g = torch.Generator().manual_seed(1)
    x = torch.rand(2, *net.shape, generator=g).double()
    with torch.no_grad():
        goal = Untargeted(net(x).argmin(1))  # undecided, so that there is something to optimise
        threat = LInf(radius=0.03)
        plain, found = (m(net, x, goal, threat).margin for m in (CROWN(), AlphaCROWN(steps=3)))
        assert (found <= plain + 1e-9).all()
        for _ in range(100):
            noise = 0.03 * (2 * torch.rand(x.shape, generator=g) - 1).double().sign()
            assert (goal(net((x + noise).clamp(0, 1))) <= found).all()


def test_the_fuzzer_counts_points_and_finds_a_bound_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["fuzz", "--points", "3000"])
    assert main() == 0 and "3000 points, 0 outside" in capsys.readouterr().out
    import holdfast.certify.network.functions as functions

    wrong = functions.CURVES["tanh"]
    object.__setattr__(wrong, "bends", wrong.bends[::-1])
    try:
        assert sum(trial("tanh", 0, radius=0.5).outside.values()) > 0
    finally:
        object.__setattr__(wrong, "bends", wrong.bends[::-1])
