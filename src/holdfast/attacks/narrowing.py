"""Gradient ascent that comes in from larger threats: what helps under the sum norm."""

from __future__ import annotations

from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.attacks.apgd import APGD
from holdfast.core.catalog import register
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Inner, Positive, settings


@register(
    "attack", cites=("apgd", "mind-the-box"), name="apgd-narrowing",
    says="APGD that begins in three and two radii and ends in one.",
)  # fmt: skip
@settings
class Narrowing(APGD):
    """APGD whose first steps are made in larger threats: three radii, then two, then one.

    Where the threat is small and pointed, as the ball of the sum norm is, ascent inside of it
    soon sits in a corner. A larger one has better corners, and what is best in it, projected,
    is often a better start than a random change; on some nets ascent inside of the small one breaks
    more, so report the better of both. Properties: only changes inside the threat itself
    count as wins or are handed back; it costs no more than APGD of as many steps.

    Args:
        steps: gradient steps per restart (and per target), in all threats together.
        restarts: independent random starts.
        climb: as in APGD; `targeted` makes one run per way to win.
        targets: how many ways `targeted` tries.
        stride: first step in each threat, in radii.
        momentum: share of the last move that is carried on.
        rising: share of rising steps up to which a window counts as stalled.
        samples: passes whose mean gradient and height are followed.
        wide: the larger threats, in multiples of this one, in the order in which they are tried.
        share: share of the steps that is spent in each of them.

    Raises:
        Unsupported: for threats whose changes take another form when they are scaled (patches).

    Cost: that of APGD and, per restart (and target), a forward more and one per larger threat.

    Unlike the paper: steps are spread over the coordinates as the threat does it (`along`), and
    halved as in every other norm; in the paper the number of coordinates follows from the best
    change found, and lengths fall in a fixed ratio.
    """

    wide: tuple[Positive, ...] = (3.0, 2.0)
    share: Inner = 0.3

    def _run(self, active: Active, chosen: Tensor | None) -> None:
        """One start, and its steps in ever smaller threats, on the rows that are still active."""
        each = max(1, int(self.share * self.steps))
        last = max(1, self.steps - len(self.wide) * each)
        first = active.threat.scaled(self.wide[0] if self.wide else 1.0)
        if first.none(active.x).shape != active.threat.none(active.x).shape:
            raise Unsupported(
                f"changes of {first.spec} are of another form than those of {active.threat.spec}",
                fix="Use attack:apgd.",
            )
        best = first.sample(active.x, active.dice).detach()
        if self.wide:  # rows that a change inside the threat breaks take no part
            near = active.threat.project(active.x, best).detach()
            stay = active.see(near, active.margins(near))
            best = best if stay is None else best[stay]
        for factor in (*self.wide, 1.0):
            if not len(active):
                return
            start = active.threat.scaled(factor).project(active.x, best).detach()
            best = self._within(active, factor, start, chosen, last if factor == 1 else each)
