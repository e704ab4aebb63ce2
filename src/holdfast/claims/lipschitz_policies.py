"""Lipschitz clones: error and closed loop within their bounds; a constant trades cost for calm."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.rl.episodes import play
from holdfast.rl.lipschitz import LipschitzClone, closed_loop, contraction, lqr
from holdfast.rl.worlds import DoubleIntegrator

SHARES, NOISE, POINTS = (0.3, 0.6, 1.0, 2.0), 0.05, 15
GAP = 4 / (POINTS - 1) / 2**0.5


def _noise(step: int, view: Tensor, views: list[Tensor], actions: list[Tensor]) -> Tensor:
    way = Dice.of(len(view), step).normal(view.shape[1:], dtype=view.dtype)
    moved: Tensor = NOISE * way / way.norm(dim=1, keepdim=True)
    return moved


def trial(seed: int, mutant: str = "") -> Trial:
    """Largest ratio of what is seen to what is promised, over constants, points and episodes."""
    env = DoubleIntegrator(spread=0.4)
    expert = lqr(env)
    k = torch.tensor(expert.gain, dtype=torch.float64)
    lip, (a, b) = float(k.norm()), env.matrices()
    overshoot, decay = contraction(a + b @ k)
    if mutant == "no-overshoot":
        overshoot, decay = 1.0, float(torch.linalg.eigvals(a + b @ k).abs().amax()) / 2
    axis = torch.linspace(-2, 2, POINTS, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    g = torch.Generator().manual_seed(seed)
    fresh = 4 * torch.rand(1500, 2, generator=g, dtype=torch.float64) - 2
    dice, worst, costs = Dice.of(40, seed), 0.0, []
    for share in SHARES:
        agent = LipschitzClone(lip=share * lip, seen=(x, x @ k.T))
        residual = 0.0 if mutant == "forgets-the-residual" else float(agent.residual())
        found = closed_loop(
            lip=share * lip, expert_lip=lip, residual=residual, overshoot=overshoot, decay=decay,
            gap=GAP, lip_input=float(b.norm()), disturbance=NOISE,
        )  # fmt: skip
        said = agent.act(None, fresh, Dice.of(len(fresh)))[0]
        error = float((said - fresh @ k.T).abs().max())
        promised = found.error - share * lip * NOISE
        moved = play(env, agent, 40, dice=dice, adversary=_noise, budget=100.0)
        calm = play(env, expert, 40, dice=dice)
        far = float((moved.states - calm.states).norm(dim=2).max())
        seen = error + share * lip * NOISE  # the measured error in the place of its bound
        loop = overshoot * float(b.norm()) * seen / (1 - decay)
        worst = max(worst, error / promised, far / loop)
        long = DoubleIntegrator(length=120)
        costs.append(float(-play(long, agent, 40, dice=dice).returns.mean()))
    ordered = costs[0] > costs[1] > costs[2]
    return Trial(worst, 1.0, worst <= 1 and ordered)


CLAIM = Claim(
    paper="lipschitz-policies",
    methods=("agent:lipschitz-clone", "env:double-integrator"),
    says="Clones of a linear expert err within residual + (lip + L) gap, their disturbed loops "
    "stay within the geometric sum of that error, and cost rises as the constant falls below L.",
    left="largest ratio of an observed to a promised distance",
    right="one",
    trial=trial,
    seeds=(61, 62, 63),
    mutants=("forgets-the-residual", "no-overshoot"),
    seconds=15,
)
