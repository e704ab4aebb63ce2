"""Patches: gradient steps on the content, trials of neighbouring places in between."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.attacks.climb import Climb, slopes
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Positive, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Access, Attack, Model, Threat
from holdfast.ops.batch import pick
from holdfast.threats.patch import Patch

WAYS = ((-1, 0), (1, 0), (0, -1), (0, 1))  # up, down, left, right


def patch_of(threat: Threat) -> Patch:
    """The threat, which must be a patch.

    Raises:
        Unsupported: if it is not.
    """
    if not isinstance(threat, Patch):
        raise Unsupported(
            f"{threat.spec} has no place that could be moved",
            fix="Use a threat such as patch:5x5, or attack:pgd.",
        )
    return threat


@register(
    "attack",
    cites="location-optimized-patches",
    name="patch",
    says="Optimises the content of a patch by gradient and its place by trial.",
)
@settings
class PatchAttack(Attack):
    """Patches whose content climbs by gradient signs and whose place moves to better neighbours.

    After each step of the content, places a few pixels up, down, left and right are tried, and
    the patch moves, content and all, where that raises the margin. Properties: only places that
    the threat allows are tried; the best pair of content and place seen is returned; a broken row
    leaves at once; draws and moves are per row.

    Args:
        steps: gradient steps per restart.
        restarts: independent starts, each at a random place with random content.
        rate: step of the content, as a share of the range of inputs.
        place: `full-opt` tries all four neighbours and takes the best, `random-opt` one drawn at
            random; `random` stays where it was drawn, `fixed` in the middle of the image or at
            the allowed place next to it.
        stride: pixels to a neighbouring place.
        climb: what the content climbs, as in `attack:pgd`.

    Cost: `steps + 1` forwards and `steps` backwards per restart and unbroken row; five forwards
    more per step for `full-opt`, two for `random-opt`.

    Raises:
        Unsupported: unless the threat is a patch.

    Unlike the paper: places are compared by the margin, which decides, not by the loss; rows move
    independently; the comparison is with the content after its step.
    """

    access: ClassVar[Access] = Access.GRADIENT
    steps: Count = 100
    restarts: Count = 1
    rate: Positive = 0.05
    place: Literal["full-opt", "random-opt", "random", "fixed"] = "full-opt"
    stride: Count = 2
    climb: Climb = "soft"

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        patch_of(threat)
        active = Active(model, x, goal, threat, dice)
        for _ in range(self.restarts):
            if not len(active):
                break
            self._run(active)
        return active.best

    def _run(self, active: Active) -> None:
        """One start and its steps, on the rows that are still active."""
        change = self._start(active)
        for _ in range(self.steps):
            margin, gradient, _ = slopes(
                active.model, active.x, active.goal, active.threat, change, climb=self.climb
            )
            stay = active.see(change, margin)
            if stay is not None:
                change, gradient = change[stay], gradient[stay]
            if not len(active):
                return
            threat = patch_of(active.threat)
            content = threat.slices(active.x)["content"]
            step = self.rate * gradient.sign()
            step[:, content.stop :] = 0
            change = threat.project(active.x, change + step).detach()
            if self.place.endswith("opt"):
                change = self._moved(active, change)
            if not len(active):
                return
        active.see(change, active.margins(change))

    def _start(self, active: Active) -> Tensor:
        """Random content, opaque, at a random place or in the middle."""
        threat, x = patch_of(active.threat), active.x
        change = threat.sample(x, active.dice).detach()
        if self.place == "fixed":
            change = threat.moved(x, change, threat.corner(x, threat.none(x)))
        return change

    def _moved(self, active: Active, change: Tensor) -> Tensor:
        """The changes at the best of the places tried; rows that break leave."""
        ways = torch.tensor(WAYS, device=change.device).expand(len(change), 4, 2)
        if self.place == "random-opt":
            one = active.dice.integers(4, device=change.device)
            ways = ways[torch.arange(len(one), device=change.device), one][:, None]
        margin = active.margins(change)
        start, best = change, change
        stay = active.see(change, margin)
        for number in range(ways.shape[1]):
            if stay is not None:
                start, best, margin, ways = start[stay], best[stay], margin[stay], ways[stay]
            if not len(active):
                break
            threat = patch_of(active.threat)
            corner = threat.corner(active.x, start) + self.stride * ways[:, number]
            new = threat.moved(active.x, start, corner)
            there = (threat.corner(active.x, new) == corner).all(1)
            # A neighbour that is not allowed is the place itself, which cannot win.
            new = pick(there, new, start)
            reached = active.margins(new)
            stay = active.see(new, reached)
            better = there & (reached > margin)
            best, margin = pick(better, new, best), torch.where(better, reached, margin)
        return best if stay is None else best[stay]
