"""Changes of the weights: for one linear layer the worst of them is known in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.attacks.pgd import PGD
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.reached import reached
from holdfast.core.goal import Outputs
from holdfast.core.kinds import Model
from holdfast.run.search import search
from holdfast.testing.worlds import Linear
from holdfast.threats.weights import Weights, weights_of

RADIUS = 0.05
# Steps of two radii: projected, each brings the direction three times nearer to the best one.
ATTACK = PGD(steps=30, travel=60.0, restarts=2, climb="margin")


class _Absolute(Weights):
    """Bug: the radius does not scale with the length of the weights."""

    def _changed(self, weights: dict[str, Tensor], change: Tensor) -> dict[str, Tensor]:
        units = {name: w / w.norm() for name, w in weights.items()}
        moved = super()._changed(units, change)
        return {f"module.{n}": w + moved[f"module.{n}"] - units[n] for n, w in weights.items()}


class _Each(Weights):
    """Bug: every single weight may move by a share of its own size."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        return change.clamp(-1, 1)


class _Stays(Weights):
    """Bug: the changed weights are left in the model."""

    def through(self, model: Model, x: Tensor, change: Tensor) -> Outputs:
        out = super().through(model, x, change)
        module = self.model
        if module is not None and len(change):
            with torch.no_grad():
                for name, w in self._changed(weights_of(module), change[0].detach()).items():
                    module.get_parameter(name.removeprefix("module.")).copy_(w)
        return out


MUTANTS = {
    "": Weights, "absolute-radius": _Absolute, "no-ball": _Each, "leaves-them-changed": _Stays,
}  # fmt: skip


def trial(seed: int, mutant: str = "") -> Trial:
    """Margins under the worst weights: found by ascent, and `m + r |W| |c| |x|`."""
    world = Linear.make(2, 24, 8, seed)
    before = {k: v.clone() for k, v in world.model.state_dict().items()}
    weight = before["weight"]
    c, _ = world.goal.linear(2)
    _, values = world.ways()
    reach = RADIUS * weight.norm() * c.norm(dim=2) * world.x.norm(dim=1, keepdim=True)
    truth = (values + reach).amax(1)
    threat = MUTANTS[mutant](radius=RADIUS).of(world.model)
    found = search(ATTACK, world.model, world.x, world.goal, threat)
    after = world.model.state_dict()
    same = all(torch.equal(before[k], after[k]) for k in before)
    return reached(found, truth, same)


CLAIM = Claim(
    paper="awp",
    methods=("threat:weights",),
    says="Ascent over a linear layer's weights reaches, and never exceeds, the closed form "
    "`margin + radius * |W| * |c| * |x|`, and leaves the weights as they were.",
    left="largest distance of the margin found from the closed form",
    right="1e-6",
    trial=trial,
    seeds=(201, 202, 203),
    mutants=("absolute-radius", "no-ball", "leaves-them-changed"),
    seconds=2,
)
