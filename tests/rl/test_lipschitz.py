"""Lipschitz clones: least residual, constant, and the closed loop within its bounds."""

import pytest
import torch
from scipy.optimize import linprog

from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.rl.agents import LinearFeedback
from holdfast.rl.episodes import play
from holdfast.rl.lipschitz import LipschitzClone, closed_loop, contraction, lqr
from holdfast.rl.worlds import DoubleIntegrator

ENV = DoubleIntegrator()
EXPERT = lqr(ENV)
K = torch.tensor(EXPERT.gain, dtype=torch.float64)
L = float(K.norm())
G = torch.Generator().manual_seed(0)


def data(points, width=2.0):
    axis = torch.linspace(-width, width, points, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    return x, x @ K.T


def said(agent, x):
    return agent.act(None, x, Dice.of(len(x)))[0]


def test_the_residual_is_the_least_possible():
    """Against the linear programme: least t with |p_i - u_i| <= t and Lipschitz values p."""
    x = torch.rand(12, 2, generator=G, dtype=torch.float64)
    u = torch.randn(12, 1, generator=G, dtype=torch.float64)
    agent = LipschitzClone(lip=1.5, seen=(x, u))
    rows, right = [], []
    for i in range(12):
        for sign in (1, -1):
            row = [0.0] * 13
            row[i], row[12] = sign, -1.0
            rows.append(row)
            right.append(sign * float(u[i]))
        for j in range(12):
            if i != j:
                row = [0.0] * 13
                row[i], row[j] = 1.0, -1.0
                rows.append(row)
                right.append(1.5 * float((x[i] - x[j]).norm()))
    best = linprog([0.0] * 12 + [1.0], A_ub=rows, b_ub=right, bounds=(None, None))
    assert float(agent.residual()) == pytest.approx(best.fun, abs=1e-9)
    assert float((said(agent, x) - u).abs().max()) <= best.fun + 1e-9


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_constant_is_kept_everywhere(outputs):
    x = torch.rand(40, 2, generator=G, dtype=torch.float64)
    u = torch.randn(40, outputs, generator=G, dtype=torch.float64)
    agent = LipschitzClone(lip=0.8, seen=(x, u))
    p = 2 * torch.rand(300, 2, generator=G, dtype=torch.float64) - 0.5
    slope = torch.cdist(said(agent, p), said(agent, p)) / torch.cdist(p, p).clamp(min=1e-12)
    slope.fill_diagonal_(0)
    assert float(slope.max()) <= 0.8 * (1 + 1e-6)
    assert float((said(agent, x) - u).abs().amax(0).sub(agent.residual()).max()) <= 1e-9
    near = p + 1e-4 * torch.randn(300, 2, generator=G, dtype=torch.float64)
    fine = (said(agent, p) - said(agent, near)).norm(dim=1) / (p - near).norm(dim=1)
    assert float(fine.max()) <= 0.8 * (1 + 1e-6)


@pytest.mark.parametrize("share", [0.3, 0.6, 1.0, 2.0])
def test_error_and_closed_loop_stay_within_their_bounds(share):
    x, u = data(21)
    agent = LipschitzClone(lip=share * L, seen=(x, u))
    gap = 0.2 / 2**0.5  # centre of a cell of the grid
    residual = float(agent.residual())
    assert (residual < 1e-9) == (share >= 1)
    found = closed_loop(
        lip=share * L, expert_lip=L, residual=residual, gap=gap, overshoot=1.0, decay=0.0,
        lip_input=0.0,
    )  # fmt: skip
    fine = 4 * torch.rand(4000, 2, generator=G, dtype=torch.float64) - 2
    error = float((said(agent, fine) - fine @ K.T).abs().max())
    assert error <= found.error
    a, b = ENV.matrices()
    overshoot, decay = contraction(a + b @ K)
    for noise in (0.0, 0.05):
        e = error + share * L * noise
        bound = overshoot * float(b.norm()) * e / (1 - decay)

        def moved(step, view, views, actions, noise=noise):
            way = Dice.of(len(view), step).normal(view.shape[1:], dtype=view.dtype)
            return noise * way / way.norm(dim=1, keepdim=True)

        small = DoubleIntegrator(spread=0.4)
        mine = play(small, agent, 100, adversary=moved, budget=1e6 * noise)
        expert = play(small, EXPERT, 100)
        far = (mine.states - expert.states).norm(dim=2).max()
        assert float(mine.states.abs().max()) <= 2
        assert float(far) <= bound
        assert float(far) > bound / 300 or not noise


def test_the_expert_is_optimal_and_a_smaller_constant_costs_more():
    costs = {}
    start = DoubleIntegrator(length=200)
    for share in (0.3, 0.6, 1.0):
        agent = LipschitzClone(lip=share * L, seen=data(21))
        costs[share] = float(-play(start, agent, 60).returns.mean())
    best = float(-play(start, EXPERT, 60).returns.mean())
    assert costs[0.3] > costs[0.6] > costs[1.0] > best
    for factor in (0.8, 1.25):
        gain = tuple(tuple(factor * v for v in row) for row in EXPERT.gain)
        assert float(-play(start, LinearFeedback(gain=gain), 60).returns.mean()) > best


def test_powers_of_a_loop_stay_below_what_contraction_says():
    m = torch.tensor([[0.5, 4.0], [0.0, 0.6]], dtype=torch.float64)
    over, rate = contraction(m)
    power = torch.eye(2, dtype=torch.float64)
    ratios = []
    for t in range(1, 200):
        power = power @ m
        ratios.append(float(torch.linalg.matrix_norm(power, 2)) / (over * rate**t))
    assert max(ratios) <= 1 + 1e-12
    assert max(ratios) > 0.99
    for bad, decay in ((torch.eye(2), None), (m, 0.5), (m, 1.0)):
        with pytest.raises(Unsupported):
            contraction(bad, decay=decay)


def test_wrong_pairs_and_constants_are_refused():
    x, u = data(3)
    for seen in (None, (x, u[:2]), (x, u * torch.nan), (x[:0], u[:0]), (x[:, 0], u)):
        with pytest.raises(ConfigError, match="clone"):
            LipschitzClone(seen=seen).residual()
    with pytest.raises(Unsupported):
        said(LipschitzClone(seen=(x, u)), x[:, :1])
    fields = {"lip": 1.0, "expert_lip": 1.0, "residual": 0.0, "gap": 0.1, "overshoot": 1.0,
              "decay": 0.5, "lip_input": 1.0}  # fmt: skip
    assert closed_loop(**fields).tracking == pytest.approx(0.4)
    for bad in ({"decay": 1.0}, {"overshoot": 0.5}, {"gap": -0.1}):
        with pytest.raises(ConfigError, match="closed_loop"):
            closed_loop(**(fields | bad))
