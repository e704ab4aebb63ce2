"""Small environments about which everything is known: a sign to be told, a mass to be held."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.acting import Env
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError
from holdfast.core.fields import Count, NonNegative, Positive, settings


@register("env", cites="policy-smoothing", says="Tell the sign of a number that wanders about.")
@settings
class Tracking(Env):
    """A number wanders about; each step earns 1 if the action has its sign.

    The best policy is the sign of what is seen. With one step and `spread` 0, the chance of a
    reward under noise of deviation sigma is exactly `Phi(start / sigma)`.

    Args:
        length: steps of an episode.
        start: where the number begins.
        spread: standard deviation of its steps.
    """

    length: Count = 10
    start: float = 0.5
    spread: NonNegative = 0.3

    @property
    def steps(self) -> int:
        return self.length

    @property
    def least(self) -> float:
        return 0.0

    def reset(self, n: int, dice: Dice) -> Tensor:
        noise = dice.normal((1,), dtype=torch.float64)
        return self.start + self.spread * noise

    def view(self, state: Tensor) -> Tensor:
        return state

    def step(self, state: Tensor, action: Tensor, dice: Dice) -> tuple[Tensor, Tensor, Tensor]:
        said = action[:, None] if action.dim() == 1 else action.flatten(1)
        if said.shape[1] != 1:
            raise ShapeError(
                f"env:tracking takes one number per row, got {tuple(action.shape)}",
                fix="Give an agent that answers (n,) or (n, 1).",
            )
        # A choice between two actions is 0 for minus and 1 for plus.
        sign = said.double() if action.is_floating_point() else 2 * said.double() - 1
        reward = ((sign > 0) == (state > 0)).double().squeeze(1)
        move = self.spread * dice.normal((1,), dtype=torch.float64)
        return state + move, reward, torch.zeros(len(state), dtype=torch.bool)


@register("env", cites="lipschitz-policies", says="Bring a mass on a line to rest at the origin.")
@settings
class DoubleIntegrator(Env):
    """A mass on a line is pushed: position and velocity, and a quadratic cost.

    Its best feedback is linear and known in closed form (`rl.lipschitz.lqr`).

    Args:
        length: steps of an episode.
        dt: time between steps.
        spread: largest coordinate of the state in which an episode begins.
        effort: cost of a unit of force squared.
    """

    length: Count = 60
    dt: Positive = 0.2
    spread: NonNegative = 1.0
    effort: Positive = 0.5

    @property
    def steps(self) -> int:
        return self.length

    def matrices(self) -> tuple[Tensor, Tensor]:
        """A and B of the next state `A x + B u`."""
        a = torch.tensor([[1.0, self.dt], [0.0, 1.0]], dtype=torch.float64)
        b = torch.tensor([[self.dt**2 / 2], [self.dt]], dtype=torch.float64)
        return a, b

    def reset(self, n: int, dice: Dice) -> Tensor:
        return self.spread * (2 * dice.uniform((2,), dtype=torch.float64) - 1)

    def view(self, state: Tensor) -> Tensor:
        return state

    def step(self, state: Tensor, action: Tensor, dice: Dice) -> tuple[Tensor, Tensor, Tensor]:
        if action.shape != (len(state), 1):
            raise ShapeError(
                f"env:double-integrator takes (n, 1), got {tuple(action.shape)}",
                fix="Give an agent that answers (n, 1), one force per row.",
            )
        a, b = self.matrices()
        u = action.double()
        cost = state.square().sum(1) + self.effort * u.square().sum(1)
        return state @ a.T + u @ b.T, -cost, torch.zeros(len(state), dtype=torch.bool)
