"""Linear worlds: the worst margin in every norm is known in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from holdfast.core.goal import Untargeted


def draws(seed: int) -> torch.Generator:
    """The generator that a world is made from."""
    return torch.Generator().manual_seed(seed)


def linear_layer(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A linear layer in float64 with given weights `(K, n)` and bias `(K,)`.

    Args:
        weight: `(K, n)`, one row per output.
        bias: `(K,)`.
    """
    layer = nn.Linear(weight.shape[1], weight.shape[0]).double()
    layer.load_state_dict({"weight": weight.double(), "bias": bias.double()})
    return layer


def dual(weight: Tensor, order: float) -> Tensor:
    """Dual norms along the last axis: how far a unit ball of that order moves `w . x`.

    Args:
        weight: `(..., n)` of any linear functions.
        order: of the norm of the ball: 1, 2 or inf.

    Returns:
        `(...)` dual norms: the largest, root of the sum of squares, or sum of the sizes.
    """
    if order == 1:
        return weight.abs().amax(-1)
    if order == float("inf"):
        return weight.abs().sum(-1)
    return weight.square().sum(-1).sqrt()


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear model of flat inputs; the worst margin in a ball is known in closed form.

    As long as a ball stays inside [0, 1], the adversary's best margin is
    `max over ways (margin of the way at x + radius * dual norm of its weights)`.

    Args:
        model: the linear layer, `(B, n)` to `(B, K)`.
        x: `(B, n)` inputs, float64.
        y: `(B,)` labels, the answers of the model.
    """

    model: nn.Module
    x: Tensor
    y: Tensor

    @classmethod
    def make(cls, classes: int = 2, rows: int = 16, size: int = 8, seed: int = 0) -> Linear:
        """A world of random weights; inputs in [0.3, 0.7]; labels are the model's answers."""
        g = draws(seed)
        weight = torch.randn(classes, size, generator=g, dtype=torch.float64)
        x = 0.3 + 0.4 * torch.rand(rows, size, generator=g, dtype=torch.float64)
        model = linear_layer(weight, -weight @ torch.full((size,), 0.5, dtype=torch.float64))
        with torch.no_grad():
            y = model(x).argmax(1)
        return cls(model, x, y)

    @property
    def goal(self) -> Untargeted:
        """Any other class."""
        return Untargeted(self.y)

    def ways(self) -> tuple[Tensor, Tensor]:
        """Weights `(B, W, n)` and values at x `(B, W)` of each way to win."""
        weight, bias = self.model.weight.detach(), self.model.bias.detach()  # type: ignore[operator]
        c, _ = self.goal.linear(len(bias))
        rows = c @ weight
        return rows, (rows * self.x[:, None]).sum(-1) + c @ bias

    def margin(self) -> Tensor:
        """`(B,)`: margin without change."""
        return self.ways()[1].amax(1)

    def worst(self, radius: float, order: float) -> Tensor:
        """`(B,)`: largest margin in a ball (1, 2 or inf) that stays inside the box."""
        rows, values = self.ways()
        return (values + radius * dual(rows, order)).amax(1)

    def radius(self, order: float) -> Tensor:
        """`(B,)`: smallest radius at which the adversary wins."""
        rows, values = self.ways()
        return (-values / dual(rows, order)).amin(1)


def two_class(rows: int = 16, size: int = 8, seed: int = 0) -> Linear:
    """The linear two-class world.

    Args:
        rows: how many inputs.
        size: numbers per input.
        seed: of weights and inputs.
    """
    return Linear.make(2, rows, size, seed)


def three_class(rows: int = 16, size: int = 8, seed: int = 0) -> Linear:
    """The linear three-class world.

    Args:
        rows: how many inputs.
        size: numbers per input.
        seed: of weights and inputs.
    """
    return Linear.make(3, rows, size, seed)


class Stairs(nn.Module):
    """A linear model of inputs rounded down to steps: right answers, gradients of zero."""

    def __init__(self, inner: nn.Module, steps: int) -> None:
        super().__init__()
        self.inner, self.steps = inner, steps

    def forward(self, x: Tensor) -> Tensor:
        stair: Tensor = self.inner(torch.floor(x * self.steps) / self.steps)
        return stair


def staircase(steps: int = 64, rows: int = 16, size: int = 8, seed: int = 0) -> Linear:
    """A world in which gradients say nothing: its margin is within `slack` of the linear one.

    Args:
        steps: levels of each input between 0 and 1; more of them come closer to the linear model.
        rows: how many inputs.
        size: numbers per input.
        seed: of weights and inputs.
    """
    flat = two_class(rows, size, seed)
    model = Stairs(flat.model, steps)
    with torch.no_grad():
        y = model(flat.x).argmax(1)
    return Stepped(model, flat.x, y, flat.model, steps)


@dataclass(frozen=True, eq=False)
class Stepped(Linear):
    """The staircase world: `worst` is known up to `slack`.

    Args:
        flat: the linear model behind the stairs.
        steps: levels of each input between 0 and 1.
    """

    flat: nn.Module
    steps: int

    def ways(self) -> tuple[Tensor, Tensor]:
        return Linear(self.flat, self.x, self.y).ways()

    def slack(self) -> Tensor:
        """`(B,)`: largest difference that rounding down makes to the margin."""
        return dual(self.ways()[0], float("inf")).amax(1) / self.steps


class Noise(nn.Module):
    """A model whose answers change from call to call (it draws from the global random state)."""

    def __init__(self, inner: nn.Module, scale: float) -> None:
        super().__init__()
        self.inner, self.scale = inner, scale

    def forward(self, x: Tensor) -> Tensor:
        noisy: Tensor = self.inner(x + self.scale * torch.randn_like(x))
        return noisy


def noisy(scale: float = 0.3, rows: int = 16, seed: int = 0) -> Linear:
    """The linear two-class world with a model that is not deterministic.

    Args:
        scale: standard deviation of the noise on every input, anew in each call.
        rows: how many inputs.
        seed: of weights and inputs, not of the noise.
    """
    world = two_class(rows, seed=seed)
    return Linear(Noise(world.model, scale), world.x, world.y)
