"""Where an ascent goes next: projected steps, and exchanges of budget under L1."""

import pytest
import torch
from torch import nn

from holdfast.attacks.active import Active
from holdfast.attacks.arms import mixed
from holdfast.attacks.ascent import ascent, cosine
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Threat
from holdfast.testing.worlds import two_class
from holdfast.threats.norms import L1, L2, LInf
from holdfast.threats.onward import onward
from holdfast.threats.rowwise import Rowwise


class Straight(L1):
    """The same ball; its ascents take projected straight steps."""

    def onward(
        self, x: torch.Tensor, change: torch.Tensor, gradient: torch.Tensor, length: float
    ) -> torch.Tensor:
        return self.project(x, change + length * self.along(x, change, gradient))


def climbed(threat: Threat, steps: int) -> torch.Tensor:
    """Margins that an ascent reaches on a net drawn at random, whose labels are never lost."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(40, 80), nn.ReLU(), nn.Linear(80, 80), nn.ReLU(), nn.Linear(80, 6)
    )
    x = torch.rand(200, 40)
    y = net(x).argmax(1)
    far = torch.zeros(200, 6).index_put((torch.arange(200), y), torch.tensor(9.0))
    active = Active(lambda v: net(v) + far, x, Untargeted(y), threat, None)
    ascent(active, threat.none(x), mixed(steps), cosine(steps, 3.0))
    return active.reached


@pytest.mark.parametrize("steps", [4, 12])
def test_exchanges_climb_higher_than_projected_steps_in_as_many_passes(steps: int) -> None:
    exchanged, straight = climbed(L1(radius=2.0), steps), climbed(Straight(radius=2.0), steps)
    assert exchanged.max() < 0  # no row has left
    assert float((exchanged > straight).double().mean()) > 0.6
    assert exchanged.mean() > straight.mean()


@pytest.mark.parametrize("threat", [LInf(radius=0.1), L2(radius=0.4)], ids=lambda t: t.spec)
def test_other_balls_take_a_projected_step(threat: Threat) -> None:
    g = torch.Generator().manual_seed(1)
    x, slope = torch.rand(6, 8, generator=g), torch.randn(6, 8, generator=g)
    change = threat.project(x, 0.1 * torch.randn(6, 8, generator=g))
    step = threat.along(x, change, slope)
    expected = threat.project(x, change + 0.7 * step)
    assert torch.allclose(onward(threat, x, change, slope, 0.7), expected)


def test_repeated_exchanges_reach_the_closed_form_on_a_linear_world() -> None:
    world, threat = two_class(), L1(radius=0.4)
    slope, change = world.ways()[0][:, 0], threat.none(world.x)
    for _ in range(6):  # at most half of a coordinate's room comes in at once
        change = onward(threat, world.x, change, slope, 1.0)
        assert (threat.size(world.x, change) <= 1).all()
    best = threat.project(world.x, threat.steepest(world.x, threat.none(world.x), slope))
    reached, most = (world.goal(threat.through(world.model, world.x, c)) for c in (change, best))
    assert torch.allclose(reached, most, atol=1e-9)


def test_rows_of_other_radii_go_on_as_their_own_threats_do() -> None:
    g = torch.Generator().manual_seed(2)
    x, slope = torch.rand(6, 8, generator=g), torch.randn(6, 8, generator=g)
    factors = torch.tensor([1.0, 2.0, 1.0, 0.5, 2.0, 1.0])
    threat = Rowwise(L1(radius=0.5), factors)
    moved = onward(threat, x, threat.none(x), slope, 0.6)
    for i, factor in enumerate(factors.tolist()):
        own, row = L1(radius=0.5 * factor), slice(i, i + 1)
        alone = onward(own, x[row], own.none(x[row]), slope[row], 0.6)
        assert torch.equal(moved[row], alone)
