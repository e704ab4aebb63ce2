"""Training reconstructions against changes of the measured image and of the object."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from holdfast.attacks.grid import Grid
from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import resolve
from holdfast.core.data import Batch
from holdfast.core.distance import Farthest
from holdfast.core.fields import Ingredient, NonNegative, Part, ingredient, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Attack, Objective, Run, Threat
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.adversary import sought
from holdfast.threats.affine import Rotation
from holdfast.threats.norms import LInf


@settings
class ReconstructionTraining(Objective):
    """Squared error of a reconstruction: clean, at the worst change of its input and of the object.

    The first search changes the measured image that the model sees; the second changes the
    object before it is measured, and what is compared with is the changed object. The batch
    holds objects; without a scan the model reconstructs them from themselves. All errors are
    over the squared length of the object.

    Cost: three forward passes and both searches; a part of weight 0 is left out.

    Unlike the paper: both weights are 1 unless said otherwise.

    Args:
        scan: objects -> measured images.
        pixel: weight of the worst change of the measured image.
        spatial: weight of the worst change of the object.
        threat: changes of the measured image.
        attack: how the worst one is sought.
        moves: changes of the object.
        search: how the worst one is sought.
    """

    scan: Ingredient[Callable[[Tensor], Tensor]] = ingredient()
    pixel: NonNegative = 1.0
    spatial: NonNegative = 1.0
    threat: Part[Threat] = LInf(radius=0.02, low=-1.0, high=2.0)
    attack: Part[Attack] = PGD(steps=3, travel=2.5, climb="soft")
    moves: Part[Threat] = Rotation(degrees=180.0)
    search: Part[Attack] = Grid(samples=5)

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x = tensor_of(batch)
        measured = self._measured
        scale = x.detach().square().flatten(1).sum(1).clamp(min=1e-12)
        z, goal = measured(x), Farthest(x.detach(), scale)
        loss = goal.soft(logits(run.model(z)))
        if self.pixel:
            threat = resolve(self.threat)
            found = sought(run, self.attack, z, lambda: goal, threat, name="pixel")
            loss = loss + self.pixel * goal.soft(logits(threat.through(run.model, z, found)))
        if self.spatial:
            moves, error = resolve(self.moves), _Error(run.model, measured)
            nothing = Farthest(torch.zeros_like(x), scale)
            found = sought(run, self.search, x, lambda: nothing, moves, model=error, name="spatial")
            loss = loss + self.spatial * nothing.soft(moves.through(error, x, found))
        return loss

    def _measured(self, x: Tensor) -> Tensor:
        return x if self.scan is None else self.scan(x)


class _Error(nn.Module):
    """What a reconstruction of an object is off by."""

    def __init__(self, model: nn.Module, scan: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.scan = model, scan

    def forward(self, x: Tensor) -> Tensor:
        return logits(self.model(self.scan(x))) - x
