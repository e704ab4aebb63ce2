"""PAC certificates: exact for affine margins, at their level for others, open about spikes."""

import pytest
import torch
from scipy.optimize import linprog
from scipy.stats import binom

from holdfast.certify.affine_fit import focused
from holdfast.certify.pac import PACAffine
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.core.goal import AtLeast
from holdfast.core.strays import Strays
from holdfast.threats.affine import Rotation
from holdfast.threats.norms import L1, L2, LInf

G = torch.Generator().manual_seed(0)


def rand(*shape):
    return torch.rand(*shape, generator=G, dtype=torch.float64)


@pytest.mark.parametrize("threat", [LInf(radius=0.1), L2(radius=0.2), L1(radius=0.3)])
@pytest.mark.parametrize("focus", [0, 60])
def test_an_affine_margin_is_found_exactly(threat, focus):
    """No slack, and the bound is the exact maximum over the ball."""
    x, weight = 0.4 + 0.2 * rand(5, 6), torch.randn(6, generator=G, dtype=torch.float64)
    goal = AtLeast(torch.full((5,), 0.3))
    method = PACAffine(fit=40, focus=focus, free=3)
    found = method.model_of(lambda v: (v @ weight)[:, None], x, goal, threat)
    dual = {"linf": weight.abs().sum(), "l2": weight.norm(), "l1": weight.abs().amax()}
    want = x @ weight - 0.3 + threat.radius * dual[threat.name]
    assert float(found.slack.max()) < 1e-8
    assert torch.allclose(found.top, want, atol=1e-8)
    assert torch.allclose(found.seen, want, atol=1e-8)  # the worst change was tried
    assert torch.allclose(found.slope, weight.expand(5, 6), atol=1e-7)


def bumpy(v):
    return (v.sum(1) + 3 * (9 * v[:, 0]).sin() * v[:, 1] + (v - 0.5).square().sum(1))[:, None]


def test_fresh_samples_leave_the_model_no_more_often_than_said():
    """400 certificates at significance 0.1; with half of the samples it would fail."""
    x = torch.full((400, 8), 0.5, dtype=torch.float64)
    goal, threat = AtLeast(torch.zeros(400)), LInf(radius=0.1)
    method = PACAffine(error=0.05, significance=0.1, fit=40)
    found = method.model_of(bumpy, x, goal, threat, dice=Dice.of(400, 3))
    change = threat.sample(x[:1].expand(4000, -1), Dice.of(4000, 9))
    margin = bumpy(x[:1] + change)[:, 0]
    apart = (margin - (found.slope @ change.T + found.bias[:, None])).abs()
    left = (apart > found.slack[:, None]).double().mean(1)
    assert int((left > 0.05).sum()) <= binom.ppf(1 - 1e-4, 400, 0.1)
    assert int((left > 0.05).sum()) >= 10  # the level is nearly used up
    assert method.fresh == 45
    assert PACAffine().fresh == 90


def test_too_few_fresh_samples_fail():
    class Few(PACAffine):
        @property
        def fresh(self):
            return 15

    x = torch.full((400, 8), 0.5, dtype=torch.float64)
    goal, threat = AtLeast(torch.zeros(400)), LInf(radius=0.1)
    found = Few(error=0.05, significance=0.1, fit=40).model_of(bumpy, x, goal, threat)
    change = threat.sample(x[:1].expand(2000, -1), Dice.of(2000, 9))
    apart = (bumpy(x[:1] + change)[:, 0] - (found.slope @ change.T + found.bias[:, None])).abs()
    left = (apart > found.slack[:, None]).double().mean(1)
    assert int((left > 0.05).sum()) > binom.ppf(1 - 1e-4, 400, 0.1)


def test_the_focus_is_the_linear_programme():
    changes, margins = 2 * rand(1, 50, 4) - 1, rand(1, 50)
    start = (torch.zeros(1, 4, dtype=torch.float64), torch.zeros(1, dtype=torch.float64))
    slope, bias = focused(changes, margins, *start, 4)
    table = torch.cat([changes[0], torch.ones(50, 1)], 1).numpy()
    both = [*[[*row, -1.0] for row in table], *[[*(-row), -1.0] for row in table]]
    right = [*margins[0].tolist(), *(-margins[0]).tolist()]
    best = linprog([0.0] * 5 + [1.0], A_ub=both, b_ub=right, bounds=(None, None)).fun
    gap = (margins - (changes * slope[:, None]).sum(2) - bias[:, None]).abs().amax()
    assert float(gap) == pytest.approx(best, abs=1e-9)


def test_a_spike_may_be_missed_and_a_counterexample_never_is():
    """A spike of volume 1e-4 wins, yet the certificate stands: it speaks of most changes only."""
    x, threat = torch.full((1, 4), 0.5, dtype=torch.float64), LInf(radius=0.1)
    centre = torch.tensor([0.45, 0.55, 0.45, 0.52], dtype=torch.float64)

    def spike(v):
        return ((v - centre).abs().amax(1) < 0.01).double()[:, None]

    goal = AtLeast(torch.full((1,), 0.5))
    found = PACAffine()(spike, x, goal, threat)
    assert bool(found.proved)
    assert (found.mass, found.confidence) == (0.95, 0.99)
    assert bool(goal(spike(centre[None])) > 0)

    def corner(v):
        return ((v - 0.6).abs().amax(1) < 1e-9).double()[:, None] + 1e-6 * v.sum(1, keepdim=True)

    assert not bool(PACAffine()(corner, x, goal, threat).proved)  # the model's worst change wins


def forecaster(seed):
    """Constant velocity and a bounded turn: past (B, 4, 2) -> future (B, 3, 2)."""
    g = torch.Generator().manual_seed(seed)
    turn = 0.3 * torch.randn(8, 6, generator=g, dtype=torch.float64)

    def forecast(past):
        speed = past[:, -1] - past[:, -2]
        steps = torch.arange(1, 4, dtype=past.dtype)[:, None]
        straight = past[:, -1:] + speed[:, None] * steps
        return straight + 0.1 * (past.flatten(1) @ turn).tanh().reshape(-1, 3, 2)

    return forecast


def test_forecasts_stay_where_most_samples_say():
    past, model = rand(6, 4, 2), forecaster(1)
    clean = model(past)
    threat = LInf(radius=0.03)
    for goal in (Strays(clean, 0.6), Strays(clean, 0.9, by="most")):
        found = PACAffine()(model, past, goal, threat)
        assert bool(found.proved.all())
        change = threat.sample(past.repeat(500, 1, 1), Dice.of(3000))
        margin = goal.take(torch.arange(6).repeat(500))(model(past.repeat(500, 1, 1) + change))
        over = margin.reshape(500, 6) > found.margin
        assert float(over.double().mean(0).max()) <= 0.05
        small = type(goal)(clean, 0.05, goal.by)
        assert not bool(PACAffine()(model, past, small, threat).proved.any())
    slope = PACAffine().model_of(model, past, Strays(clean + 1, 5.0), threat).slope
    assert bool((slope[:, -1].abs().sum(1) > 2 * slope[:, 0].abs().sum(1)).all())  # recent steps


def test_straying_is_measured_by_hand():
    out = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]])
    here = torch.zeros(1, 2, 2)
    assert float(Strays(here, 1.0)(out)) == 1.5
    assert float(Strays(here, 1.0, by="most")(out)) == 4
    both = torch.stack([here, here + torch.tensor([3.0, 4.0])], 1)
    assert float(Strays(both, 1.0)(out)) == 1.5
    there = torch.tensor([[[3.0, 4.0], [3.0, 4.0]]])
    assert float(Strays(both, 1.0).take(slice(0, 1))(there)) == -1
    for bad in ((here[0], 1.0), (here, 0.0)):
        with pytest.raises(ConfigError):
            Strays(*bad)
    with pytest.raises(ShapeError):
        Strays(here, 1.0)(out[:, :1])


def test_other_threats_and_broken_outputs():
    x = rand(2, 3)
    goal = AtLeast(torch.full((2,), 10.0))
    broken = PACAffine(fit=10)(lambda v: v / (v[:, :1] > 0.5), x, goal, LInf(radius=0.6))
    assert not bool(broken.proved.any())
    with pytest.raises(Unsupported):
        PACAffine()(bumpy, x, goal, Rotation(degrees=10))
