"""Projected gradient ascent, and its presets of one step and without a start."""

from __future__ import annotations

from math import cos, pi
from typing import ClassVar, Literal

import torch
from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.attacks.ascent import ascent
from holdfast.attacks.climb import CLIMBS, Climb
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.fields import Count, Decay, Positive, settings
from holdfast.core.goal import Goal, Targeted, logits
from holdfast.core.kinds import Access, Attack, Model, Threat
from holdfast.core.quiet import quiet


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
            first restart does; later ones are random), `half` goes half a radius along the steepest
            direction of a random linear function.
        schedule: steps of `constant` length, or falling to zero along a `linear` or `cosine`
            curve of equal mean.
        climb: what is climbed: `soft` (the cross-entropy's direction), `margin`, `dlr`,
            `probability` (the margin between probabilities), or `mixed`: `soft` for the first
            half of the steps, `margin` for the rest.
        samples: passes whose mean gradient is followed, for a model that draws at random; a row
            then leaves where the mean of its margins is won.

    Cost: `steps * samples + 1` forwards and `steps * samples` backwards per restart and unbroken
    row.

    Unlike the paper: the best point is kept, decided rows leave, `soft` cannot underflow, and
    the second half climbs the margin: all classes together lead to the right region, the best
    of them alone then crosses the boundary. The paper's loss throughout is `climb="soft"`.
    With the goal `least_likely(model, x)` and `FGSM` or `BIM` it is the least-likely-class method.
    """

    access: ClassVar[Access] = Access.GRADIENT
    steps: Count = 40
    restarts: Count = 1
    travel: Positive = 2.5
    momentum: Decay = 0.0
    start: Literal["random", "none", "half"] = "random"
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    climb: Literal["mixed", "soft", "margin", "dlr", "probability"] = "mixed"
    samples: Count = 1

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        active = Active(model, x, goal, threat, dice)
        for restart in range(self.restarts):
            if not len(active):
                break
            self._run(active, restart)
        return active.best

    def _run(self, active: Active, restart: int) -> None:
        """One start and its steps, on the rows that are still active."""
        ascent(
            active, self._start(active, restart).detach(),
            lambda step, _: CLIMBS[self._climb(step)],
            [self._length(step) for step in range(self.steps)], momentum=self.momentum,
            samples=self.samples,
        )  # fmt: skip

    def _start(self, active: Active, restart: int) -> Tensor:
        """Where a restart begins."""
        x, threat = active.x, active.threat
        none = threat.none(x)
        if self.start == "half":
            drawn = active.dice.normal(none.shape[1:], device=none.device, dtype=none.dtype)
            return threat.project(x, none + threat.steepest(x, none, drawn) / 2)
        return none if self.start == "none" and not restart else threat.sample(x, active.dice)

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
R_FGSM = register(
    "attack", cites="fgsm", name="r-fgsm", says="Half a radius at random, the other half uphill."
)(PGD(steps=1, travel=0.5, start="half", climb="soft"))
RS_FGSM = register(
    "attack", cites="fgsm", name="rs-fgsm", says="A random start and one step longer than a radius."
)(PGD(steps=1, travel=1.25, climb="soft"))
BIM = register(
    "attack", cites="bim", name="bim", says="The basic iterative method: PGD without a start."
)(PGD(steps=10, travel=1.25, start="none", climb="soft"))


def least_likely(model: Model, x: Tensor) -> Targeted:
    """The goal that each row takes the class that is least likely for it as it stands.

    Climbing it one step at a time is the least-likely-class method: its steps do not give away
    the label, as those against the label can while a model is trained on them:
    `search(BIM, model, x, least_likely(model, x), LInf(radius=0.03))`.

    Args:
        model: inputs -> logits first.
        x: `(B, ...)` inputs.

    Cost: one forward per row.
    """
    with quiet(model), torch.no_grad():
        return Targeted(logits(model(x)).argmin(1))
