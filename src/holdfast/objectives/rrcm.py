"""Learning without labels that points of one noise trajectory are the same row."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Count, NonNegative, Positive, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Objective, Run
from holdfast.objectives.adversarial import tensor_of
from holdfast.ops.batch import fit

RHO = 7.0  # how the noise levels crowd towards the smallest
SPREAD = 0.5  # deviation of pixels in [-1, 1], by which inputs are scaled


def noise_levels(count: int, least: float, most: float) -> Tensor:
    """`(count,)` falling noise levels from `most` to `least`, closer together at the end.

    Args:
        count: at least 2.
        least: the smallest deviation.
        most: the largest one.
    """
    share = torch.linspace(0, 1, count, dtype=torch.float64)
    ends = most ** (1 / RHO), least ** (1 / RHO)
    levels: Tensor = (ends[0] + share * (ends[1] - ends[0])) ** RHO
    return levels


def found_among(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """`(B,)`: loss of finding the partner of each row of a among all rows of b, by cosine.

    Args:
        a: `(B, d)`.
        b: `(B, d)`; row i of both belong together.
        temperature: of the cosines.
    """
    alike = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / temperature
    return F.cross_entropy(alike, torch.arange(len(a), device=a.device), reduction="none")


@register(
    "objective",
    name="rrcm",
    cites="rrcm",
    says="Neighbouring noise levels of a row must look alike, and unlike other rows.",
)
@settings
class ConsistentRepresentation(Objective):
    """Contrastive learning along noise: what a row looks like must not depend on its noise level.

    Each row is seen at two neighbouring levels with the same noise, two points of one trajectory
    from clean to pure noise; the noisier must find the other one among those of all rows, which
    gets no gradient. Step by step this carries what is seen in clean rows up to the noisiest.
    Two almost clean copies with separate noise must find each other too. The number of levels
    grows over the run. Labels are never looked at; the model's outputs are the features, and a
    head for classes is trained afterwards by `objective:noisy`, with weight on agreement.

    Rows depend on each other. Cost: four forward passes.

    Unlike the paper: one head for both terms, no slowly moving teacher, no augmentations but
    noise, and the noise level is not told to the model.

    Args:
        temperature: of the cosines.
        least: the smallest noise level, for pixels in [-1, 1].
        most: the largest one.
        levels: at the start.
        growth: times as many levels at the end.
        weight: of the almost clean copies.
    """

    coupled: ClassVar[bool] = True
    temperature: Positive = 0.2
    least: Positive = 0.002
    most: Positive = 80.0
    levels: Count = 20
    growth: Count = 4
    weight: NonNegative = 1.0

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x = 2 * tensor_of(batch) - 1
        count = round(self.levels * (1 + (self.growth - 1) * run.progress))
        if count < 2 or self.least >= self.most:
            raise ConfigError(
                "ConsistentRepresentation: needs two levels or more, and least < most, got "
                f"{count} levels from {self.least:g} to {self.most:g}",
                fix="Give levels=2 or more, and a least below most.",
            )
        grid = noise_levels(count, self.least, self.most).to(x)
        dice = run.dice.spawn("trajectory")
        step = dice.integers(count - 1, device=x.device)
        noise = dice.normal((3, *x.shape[1:]), device=x.device, dtype=x.dtype)
        seen = self.seen(run, x, noise[:, 0], grid[step])
        with torch.no_grad():
            next_one = self.seen(run, x, noise[:, 0], grid[step + 1])
        loss = found_among(seen, next_one, self.temperature)
        if not self.weight:
            return loss
        one, two = (self.seen(run, x, noise[:, k], grid[-1].expand(len(x))) for k in (1, 2))
        clean = found_among(one, two.detach(), self.temperature)
        return loss + self.weight * (clean + found_among(two, one.detach(), self.temperature)) / 2

    def seen(self, run: Run, x: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """`(B, d)` features of rows with noise, scaled to deviation 1 whatever the level."""
        scaled = (x + fit(level, x) * noise) / fit((level.square() + SPREAD**2).sqrt(), x)
        return logits(run.model(scaled)).flatten(1)
