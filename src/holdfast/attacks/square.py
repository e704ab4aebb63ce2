"""Random search over square windows: a strong attack that needs nothing but scores."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.attacks.queries import ask
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Access, Attack, Model, Threat

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # out of 10,000 queries


def window_share(share: float, step: int, steps: int) -> float:
    """Share of the coordinates that a window covers at a step.

    It starts at `share` and halves at fixed points of the run, most of them early.
    """
    place = step * 10000 / steps
    return share / 2.0 ** sum(place > point for point in HALVINGS)


@register("attack", cites="square", says="Random search over square windows; needs only scores.")
@settings
class Square(Attack):
    """Random search: move one random window to the threat's surface, keep it if that helps.

    Changes of a window of shrinking size are proposed by the threat (`near`): squares for
    images, intervals for signals, scattered coordinates for flat rows. Properties: no gradients,
    so masking them does not help a model; the margin of a row never falls; each row has draws
    of its own, so its result does not depend on the others.

    Args:
        steps: proposals per restart.
        restarts: independent starts.
        share: share of the coordinates covered by the first windows; the schedule of its
            halvings is stretched over `steps`.

    Cost: `steps + 1` forwards per restart and unbroken row, no backwards.

    Unlike the paper: windows are drawn per row, up to the last offset; proposals of L2 and L1
    give the budget of one window to another in one pyramid with signs per channel, instead of
    two halves of opposite sign to which the window's old content is added; the start is random
    stripes of any threat that has a steepest direction, and a random change otherwise; the
    schedule always follows `steps`; the margin alone is asked, not the cross-entropy.
    """

    access: ClassVar[Access] = Access.SCORE
    steps: Count = 1000
    restarts: Count = 1
    share: Annotated[float, Field(gt=0, le=1)] = 0.8

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        active = Active(model, x, goal, threat, dice)
        for _ in range(self.restarts):
            if not len(active):
                break
            start = striped(active.x, active.threat, active.dice)
            ask(active, start, self._propose, self.steps)
        return active.best

    def _propose(self, active: Active, step: int, change: Tensor) -> Tensor:
        """One window of every row, moved to the surface."""
        share = window_share(self.share, step, self.steps)
        return active.threat.near(active.x, change, share, active.dice)


def striped(x: Tensor, threat: Threat, dice: Dice) -> Tensor:
    """A start on the threat's surface: random stripes along the last but one axis.

    Signs are drawn per channel and column of images, per coordinate of flat rows. Threats whose
    changes do not look like inputs, or that have no steepest direction, draw a random change.
    """
    none = threat.none(x).detach()
    if none.shape != x.shape or not len(x):
        return threat.sample(x, dice).detach()
    shape = x.shape[1:] if x.dim() < 4 else (*x.shape[1:-2], 1, x.shape[-1])
    signs = (2 * dice.integers(2, shape, device=x.device) - 1).to(none.dtype).expand(x.shape)
    try:
        step = threat.steepest(x, none, signs)
    except Unsupported:
        return threat.sample(x, dice).detach()
    return threat.project(x, none + step).detach()
