"""Attack steps and direct search together get further than direct search alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.attacks.active import Active
from holdfast.attacks.directional import Directional, _Search
from holdfast.attacks.through import maximize_through
from holdfast.claims.harness import Claim, Trial
from holdfast.core.goal import Outputs, logits

SIZE, STARTS, STEPS, AIM, TIE = 5, 10, 200, 1.0, 1e-9


class _Downhill(Directional):
    """Bug: steps against the gradient."""

    def _point(self, active: Active, state: _Search, follows: Tensor) -> Tensor:
        state.slope = -state.slope
        point = super()._point(active, state, follows)
        state.slope = -state.slope
        return point


class _Stubborn(Directional):
    """Bug: steps never become shorter."""

    def _adapt(self, state: _Search, follows: Tensor, better: Tensor) -> None:
        stride, mesh = state.stride, state.mesh
        super()._adapt(state, follows, better)
        state.stride, state.mesh = stride, mesh


MUTANTS = {"downhill": _Downhill, "never-shortens": _Stubborn}


def _fitted(seed: int) -> nn.Sequential:
    """A net fitted to a smooth function of five variables that passes through the aim."""
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(600, SIZE, generator=g, dtype=torch.float64)
    y = torch.sin(3 * x).mean(1) + x.prod(1) + 0.5 * x[:, 0]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Linear(SIZE, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
        ).double()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        F.mse_loss(net(x)[:, 0], y).backward()
        optimizer.step()
    net.zero_grad()
    return net


def _value(outputs: Outputs) -> Tensor:
    return -(logits(outputs)[:, 0] - AIM).square()


def trial(seed: int, mutant: str = "") -> Trial:
    """Starts from which both together end at least as high as direct search alone."""
    net, cls = _fitted(seed), MUTANTS.get(mutant, Directional)
    start = torch.rand(STARTS, SIZE, generator=torch.Generator().manual_seed(seed + 1)).double()

    def reached(gradient: bool) -> Tensor:
        search = (cls if gradient else Directional)(cover=4, gradient=gradient)
        found = maximize_through(net, _value, start, steps=STEPS, search=search)
        with torch.no_grad():
            return _value(net(found))

    ahead = reached(True) >= reached(False) - TIE
    left = float(ahead.sum())
    return Trial(left, 8.0, left >= 8)


CLAIM = Claim(
    paper="directional-attack-opt",
    methods=("attack:directional",),
    says="With 200 evaluations of a fitted net it ends at least as high as direct search alone "
    "from at least 8 of 10 starts.",
    left="starts, out of 10, from which the hybrid ends no lower (by 1e-9)",
    right="8",
    trial=trial,
    mutants=("downhill", "never-shortens"),
    seeds=(11, 12, 13),
    seconds=10,
)
