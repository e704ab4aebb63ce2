"""Projected gradient ascent, and its one-step and startless presets."""

from __future__ import annotations

from math import cos, pi
from typing import ClassVar, Literal

from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.attacks.climb import Climb, ascend
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.fields import Count, Decay, Positive, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Access, Attack, Model, Threat
from holdfast.ops.batch import fit


@register("attack", cites="pgd", says="Projected gradient ascent inside any threat.")
@settings
class PGD(Attack):
    """Projected gradient ascent: steps along the steepest direction, back into the threat.

    From a start inside the threat, each step moves along the direction in which a linear
    function with the current gradient rises fastest under the threat's own geometry, and
    projects. Properties: every point visited is admissible; the best one is returned, not the
    last; a broken row leaves at once and costs no further pass; restarts look only at rows that
    are still safe; a row's result does not depend on the other rows.

    Args:
        steps: gradient steps per restart.
        restarts: independent starts.
        travel: length of the whole path in radii; a step is `travel / steps` on average.
        momentum: share of the previous direction that is kept; gradients are scaled to a mean
            absolute value of 1 before they are added up.
        start: `random` draws from the threat, `none` starts without a change (then only the
            first restart does; later ones are random).
        schedule: steps of `constant` length, or falling to zero along a `linear` or `cosine`
            curve of equal mean.
        climb: what is climbed: `soft` (the cross-entropy's direction), `margin`, `dlr`, or
            `mixed`: `soft` for the first half of the steps, `margin` for the rest.

    Cost: `steps + 1` forwards and `steps` backwards per restart and unbroken row.

    Unlike the paper: the best point is kept, decided rows leave, `soft` cannot underflow, and
    the second half climbs the margin: all classes together lead to the right region, the best
    of them alone then crosses the boundary. The paper's loss throughout is `climb="soft"`.
    """

    access: ClassVar[Access] = Access.GRADIENT
    steps: Count = 40
    restarts: Count = 1
    travel: Positive = 2.5
    momentum: Decay = 0.0
    start: Literal["random", "none"] = "random"
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    climb: Literal["mixed", "soft", "margin", "dlr"] = "mixed"

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        active = Active(model, x, goal, threat, dice)
        for restart in range(self.restarts):
            if not len(active):
                break
            self._run(active, random=self.start == "random" or restart > 0)
        return active.best

    def _run(self, active: Active, *, random: bool) -> None:
        """One start and its steps, on the rows that are still active."""
        none = active.threat.none(active.x).detach()
        change = active.threat.sample(active.x, active.dice).detach() if random else none
        memory = None
        for step in range(self.steps):
            margin, _, gradient = ascend(
                active.model, active.x, active.goal, active.threat, change, climb=self._climb(step)
            )
            stay = active.see(change, margin)
            if stay is not None:
                if not len(active):
                    return
                change, gradient = change[stay], gradient[stay]
                memory = memory if memory is None else memory[stay]
            if self.momentum:
                scale = gradient.flatten(1).abs().mean(1).clamp(min=1e-30)
                gradient = gradient / fit(scale, gradient)
                gradient = gradient if memory is None else gradient + self.momentum * memory
                memory = gradient
            x, threat = active.x, active.threat
            move = threat.steepest(x, change, gradient)
            change = threat.project(x, change.add(move, alpha=self._length(step))).detach()
        active.see(change, active.margins(change))

    def _climb(self, step: int) -> Climb:
        """What a step climbs."""
        if self.climb == "mixed":
            return "soft" if 2 * step < self.steps else "margin"
        return self.climb

    def _length(self, step: int) -> float:
        """Length of a step in radii."""
        share = (step + 0.5) / self.steps
        curve = {"constant": 1.0, "linear": 2 * (1 - share), "cosine": 1 + cos(pi * share)}
        return self.travel / self.steps * curve[self.schedule]


FGSM = register(
    "attack", cites="fgsm", name="fgsm", says="One full step along the steepest direction."
)(PGD(steps=1, travel=1.0, start="none", climb="soft"))
BIM = register(
    "attack", cites="bim", name="bim", says="The basic iterative method: PGD without a start."
)(PGD(steps=10, travel=1.25, start="none", climb="soft"))
