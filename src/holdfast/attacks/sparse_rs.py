"""Random search for sparse changes: a few pixels, a patch or a frame, by scores alone."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.attacks.patches import patch_of
from holdfast.attacks.queries import ask
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.fields import Count, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Access, Attack, Model, Threat
from holdfast.threats.blocks import window
from holdfast.threats.patch import Patch

# Up to which step, out of 10,000, the share is divided by what.
PIXELS = ((0, 1), (50, 2), (200, 4), (500, 5), (1000, 6), (2000, 8), (4000, 10), (6000, 12),
          (8000, 15), (10000, 20))  # fmt: skip
PATCHES = ((10, 1), (50, 2), (200, 4), (500, 8), (1000, 16), (4000, 32), (8000, 64), (10000, 128))


def share_at(share: float, step: int, steps: int, table: tuple[tuple[int, int], ...]) -> float:
    """Share of a change that is drawn anew at a step, by a table stretched over the run."""
    place = step * 10000 // steps
    return share / next(part for until, part in table if place <= until)


@register(
    "attack",
    cites="sparse-rs",
    name="sparse-rs",
    says="Random search for a few pixels or a patch.",
)
@settings
class SparseRS(Attack):
    """Random search for changes of few pixels: some are given back, as many others taken.

    The threat proposes (`near`): under `l0:K` a share of the K pixels is set free, as many
    others are drawn and moved to random corners of the range; under a frame some of its pixels
    are drawn anew. Under a patch most steps set a random square of the content to random
    corners, and every fifth moves the patch, ever less far. The share falls over the run.
    Properties: no gradients; the margin of a row never falls; broken rows leave at once.

    Args:
        steps: proposals per restart.
        restarts: independent starts.
        share: share that is drawn anew at first.

    Cost: `steps + 1` forwards per restart and unbroken row, no backwards.

    Unlike the paper: draws are per row; a pixel whose corner is the value it had counts as free.
    Threats that are not sparse are searched by their own proposals, with the same schedule.
    """

    access: ClassVar[Access] = Access.SCORE
    steps: Count = 1000
    restarts: Count = 1
    share: Annotated[float, Field(gt=0, le=1)] = 0.3

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        active = Active(model, x, goal, threat, dice)
        for _ in range(self.restarts):
            if not len(active):
                break
            if isinstance(threat, Patch):
                ask(active, striped_patch(active, threat), self._patch, self.steps)
            else:
                blank = active.threat.none(active.x)
                start = active.threat.near(active.x, blank, 1.0, active.dice)
                ask(active, start, self._near, self.steps)
        return active.best

    def _near(self, active: Active, step: int, change: Tensor) -> Tensor:
        """The threat's own proposal."""
        share = share_at(self.share, step + 1, self.steps, PIXELS)
        return active.threat.near(active.x, change, share, active.dice)

    def _patch(self, active: Active, step: int, change: Tensor) -> Tensor:
        """A square of the content at a random corner of the range, or another place."""
        x, threat, dice = active.x, patch_of(active.threat), active.dice
        reach = int(0.75 * (1 - step / self.steps) * max(x.shape[2:]))
        if reach and (step + 1) % (5 * (1 + step // 1000)) == 0:
            way = dice.integers(2 * reach + 1, (2,), device=x.device) - reach
            return threat.moved(x, change, threat.corner(x, change) + way)
        content = threat.content(x, change)
        share = share_at(self.share, step + 1, self.steps, PATCHES)
        inside = window(content, share, dice)
        corner = dice.integers(2, content.shape[1:2], device=x.device).to(content)
        content = torch.where(inside, corner.reshape(*content.shape[:2], 1, 1), content)
        rest = change[:, threat.slices(x)["content"].stop :]
        return torch.cat([content.flatten(1), rest], 1)


def striped_patch(active: Active, threat: Patch) -> Tensor:
    """An opaque patch at a random place whose columns are at random corners of the range."""
    x, dice = active.x, active.dice
    change = threat.sample(x, dice)
    content = threat.content(x, change)
    stripes = dice.integers(2, (content.shape[1], 1, content.shape[3]), device=x.device)
    content = stripes.to(content).expand_as(content)
    return torch.cat([content.flatten(1), change[:, threat.slices(x)["content"].stop :]], 1)
