"""Changes of what a layer hands on: behind the layer the net is linear, so the worst is known."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.reached import reached
from holdfast.core.goal import Outputs, Untargeted
from holdfast.core.kinds import Model
from holdfast.run.search import search
from holdfast.testing.worlds import linear_layer
from holdfast.threats.latent import Latent

RADIUS, HIDDEN = 0.1, 12
# Steps of two radii: projected, each brings the direction three times nearer to the best one.
ATTACK = PGD(steps=30, travel=60.0, restarts=2, climb="margin")


class _Absolute(Latent):
    """Bug: the radius does not scale with the length of what the layer hands on."""

    def through(self, model: Model, x: Tensor, change: Tensor) -> Outputs:
        handed = _handed(_inner(self), x)
        return super().through(model, x, change / handed.norm(dim=1, keepdim=True))


class _Early(Latent):
    """Bug: the change is added before the nonlinearity."""

    def _at(self, module: nn.Module) -> nn.Module:
        return module.get_submodule("0")


class _Stays(Latent):
    """Bug: the hook is not removed."""

    def through(self, model: Model, x: Tensor, change: Tensor) -> Outputs:
        def add(module: nn.Module, inputs: Any, out: Tensor) -> Tensor:
            return out + 0.01

        self._at(_inner(self)).register_forward_hook(add)
        return super().through(model, x, change)


MUTANTS = {
    "": Latent, "absolute-radius": _Absolute, "wrong-layer": _Early, "hook-stays": _Stays,
}  # fmt: skip


def _inner(threat: Latent) -> nn.Module:
    """The module that a threat is bound to."""
    return threat.model if threat.model is not None else nn.Identity()


def _net(seed: int) -> nn.Sequential:
    g = torch.Generator().manual_seed(seed)
    first = torch.randn(HIDDEN, 6, generator=g, dtype=torch.float64)
    bend = 0.3 * torch.randn(HIDDEN, generator=g, dtype=torch.float64)
    last = torch.randn(2, HIDDEN, generator=g, dtype=torch.float64)
    return nn.Sequential(linear_layer(first, bend), nn.ReLU(), linear_layer(last, torch.zeros(2)))


def _handed(model: nn.Module, x: Tensor) -> Tensor:
    """What the nonlinearity hands on."""
    with torch.no_grad():
        handed: Tensor = torch.relu(model.get_submodule("0")(x))
    return handed


def trial(seed: int, mutant: str = "") -> Trial:
    """Margins under the worst latent change: found by ascent, and `m + r |h| |c W|`."""
    model = _net(seed)
    g = torch.Generator().manual_seed(seed + 50)
    x = torch.rand(24, 6, generator=g, dtype=torch.float64)
    with torch.no_grad():
        before = model(x)
    goal = Untargeted(before.argmax(1))
    c, _ = goal.linear(2)
    weight = model.get_parameter("2.weight").detach()
    reach = RADIUS * _handed(model, x).norm(dim=1, keepdim=True) * (c @ weight).norm(dim=2)
    truth = (goal.ways(before) + reach).amax(1)
    threat = MUTANTS[mutant](layer="1", radius=RADIUS).of(model)
    found = search(ATTACK, model, x, goal, threat)
    with torch.no_grad():
        same = torch.equal(model(x), before)
    return reached(found, truth, same)


CLAIM = Claim(
    paper="latent-adversarial-training",
    methods=("threat:latent",),
    says="Ascent over what a layer hands on reaches, and never exceeds, the closed form "
    "`margin + radius * |h| * |c W|` of a net that is linear behind it, and leaves no hook.",
    left="largest distance of the margin found from the closed form",
    right="1e-6",
    trial=trial,
    seeds=(201, 202, 203),
    mutants=("absolute-radius", "wrong-layer", "hook-stays"),
    seconds=2,
)
