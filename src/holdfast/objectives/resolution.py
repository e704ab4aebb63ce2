"""Features of images at a low resolution become those of the full one."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.fields import Ingredient, Positive, ingredient, settings
from holdfast.core.goal import logits
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Model, Objective, Run
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.objectives.teachers import linear_teachers
from holdfast.ops.resize import at_resolution


@register("objective", cites="lr0-fm", name="resolution-distillation",
          says="Features at a low resolution agree with a teacher's at the full one.")  # fmt: skip
@settings
class ResolutionDistillation(Objective):
    """Contrastive distillation across resolutions, without labels.

    Each image is shown to the student as it is and at one of several lower resolutions, drawn
    per row; its features must know the teacher's features of the same image at full resolution
    among those of the whole batch, and be known by them. Without a teacher it is the model
    itself at full resolution, held fixed in each step. Inputs that are no images are taken as
    they are. Rows depend on each other.

    Cost: a forward pass of twice the batch, and one of the teacher.

    Unlike the paper: the temperature is ours, and both parts count alike.

    Args:
        teacher: inputs -> features first, usually the model before training.
        shares: of the sides that are kept; each row draws one.
        temperature: of the cosines.
    """

    coupled: ClassVar[bool] = True
    teacher: Ingredient[Model] = ingredient()
    shares: tuple[float, ...] = (0.125, 0.25, 0.5)
    temperature: Positive = 0.1

    @classmethod
    def example(cls, world: Any) -> ResolutionDistillation:
        """With a linear teacher of four inputs, for the laws."""
        return cls(teacher=linear_teachers()[0])

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x = one_tensor(batch.x, "ResolutionDistillation", floating=True)
        inside("(0, 1]", "ResolutionDistillation", shares=self.shares)
        teacher = run.model if self.teacher is None else self.teacher
        with quiet(teacher), torch.no_grad():
            known = F.normalize(logits(teacher(x)).flatten(1), dim=1)
        which = run.dice.spawn("resolution").integers(len(self.shares), device=x.device)
        found = logits(run.model(torch.cat([x, self._shrunk(x, which)]))).flatten(1)
        seen = F.normalize(found, dim=1).chunk(2)
        return (self._both_ways(seen[0], known) + self._both_ways(seen[1], known)) / 2

    def _shrunk(self, x: Tensor, which: Tensor) -> Tensor:
        """Each row at its own resolution; rows of one resolution are shrunk together."""
        if x.dim() != 4:
            return x
        out = x.clone()
        for k, share in enumerate(self.shares):
            rows = (which == k).nonzero()[:, 0]
            if len(rows):
                out[rows] = at_resolution(x[rows], share).clamp(0, 1)
        return out

    def _both_ways(self, seen: Tensor, known: Tensor) -> Tensor:
        """`(B,)`: loss of finding the teacher's row from the student's, and the other way round."""
        alike = seen @ known.T / self.temperature
        own = torch.arange(len(alike), device=alike.device)
        there = F.cross_entropy(alike, own, reduction="none")
        return (there + F.cross_entropy(alike.T, own, reduction="none")) / 2
