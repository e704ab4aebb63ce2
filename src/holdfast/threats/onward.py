"""Where an ascent of many steps goes next."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from holdfast.core.kinds import Threat


class Onward(Threat):
    """A threat whose next point is not a projected straight step."""

    @abstractmethod
    def onward(self, x: Tensor, change: Tensor, gradient: Tensor, length: float) -> Tensor:
        """The next point, `length` radii from an admissible one; admissible too."""


def onward(threat: Threat, x: Tensor, change: Tensor, gradient: Tensor, length: float) -> Tensor:
    """`(B, ...)`: the next point: as the threat says, or a projected step of that length.

    Args:
        threat: the admissible changes.
        x: `(B, ...)` inputs.
        change: `(B, ...)` admissible.
        gradient: `(B, ...)` of what is climbed.
        length: of the step, in radii.

    Raises:
        Unsupported: where the threat has no steepest direction.
    """
    if isinstance(threat, Onward):
        return threat.onward(x, change, gradient, length)
    return threat.project(x, change.add(threat.along(x, change, gradient), alpha=length))
