"""Few positions of the input, changed at will."""

from __future__ import annotations

from math import floor

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.fields import NonNegative, settings
from holdfast.ops.batch import fit
from holdfast.ops.geometry import room, towards
from holdfast.ops.sparse import by_position, count, largest, over_channels, project_l0
from holdfast.threats.ball import Additive

_ROUNDING = 1e-6  # a radius that was scaled back and forth is the same whole number
_WEAK = 1e-3  # of the largest gradient
_FAR = 16.0  # a sixteenth of a step moves the best positions to their faces


@register(
    "threat", name="l0", cites="sparse-rs", says="At most so many positions change, in any way."
)
@settings
class L0(Additive):
    """At most `radius` positions of the input take other values, any that the box allows.

    A position is a coordinate of a flat row and a pixel, all channels together, of an image. The
    set is not convex; projection is still the exact nearest point, so that a small step along a
    gradient, projected, never lowers a linear function.

    Args:
        radius: how many positions may change; what lies behind the point counts for nothing.
        low: least valid input value.
        high: largest valid input value.
    """

    name = "l0"
    order = 0.0
    radius: NonNegative = 5.0
    low: float = 0.0
    high: float = 1.0

    def length(self, change: Tensor) -> Tensor:
        return count(change)

    def _counts(self, x: Tensor) -> Tensor:
        most = min(floor(self.radius + _ROUNDING), x[:1].numel())
        return torch.full((len(x),), most, dtype=torch.int64, device=x.device)

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        """Random positions, as many as may change, with values drawn from the box."""
        place = 1 - by_position(dice.uniform(x.shape[1:], device=x.device))
        place = place - place.amin(1, keepdim=True) + 1 if place.numel() else place
        down, up = room(x, self.low, self.high)
        draw = down + dice.uniform(x.shape[1:], device=x.device, dtype=x.dtype) * (up - down)
        return torch.where(over_channels(largest(place, self._counts(x)), x), draw, 0.0)

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        """Frees a share of the positions, at least one, and moves as many others to a face.

        Which are freed and which are taken is drawn; so is the face of every channel, unless a
        gradient is known: then the positions with most to gain are taken, to the faces it says.
        """
        total = self._counts(x)
        moved = (share * total).round().clamp(min=1).minimum(total).long()
        shape = by_position(change).shape[1:]
        used = by_position(change.abs()) > 0
        lots = 2 - dice.uniform(shape, device=x.device)  # in (1, 2]: above 0, as `largest` wants
        stays = largest(torch.where(used, lots, 0.0), total - moved)
        down, up = room(x, self.low, self.high)
        way = 2.0 * dice.integers(2, x.shape[1:], device=x.device) - 1
        way = way.to(x.dtype) if gradient is None else gradient
        face = torch.where(way > 0, up, torch.where(way < 0, down, 0.0))
        lots = 2 - dice.uniform(shape, device=x.device)
        if gradient is not None:
            lots = by_position(gradient * face)
        taken = largest(torch.where(used, 0.0, lots), total - stays.sum(1))
        kept = torch.where(over_channels(stays, x), change, 0.0)
        return torch.where(over_channels(taken, x), face, kept)

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        clean = torch.nan_to_num(change, nan=0.0)
        return project_l0(clean, self._counts(x), *self._free(x, change))

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        """The gradient, so long that a small share of it moves the best positions to their faces.

        Projected, it is the best `radius` positions at their faces. A position's change has no
        length here, only its being there counts; and what a step does not lift above a position
        that is there already is lost when it is projected. So steps are long, and the gradient
        is not cut to the best positions, which a projected step then chooses.
        """
        g = torch.nan_to_num(gradient, nan=0.0)
        flat = g.flatten(1).abs()
        top = flat.amax(1) if flat.shape[1] else flat.sum(1)
        g = g / fit(top.clamp(min=torch.finfo(g.dtype).tiny), g)
        down, up = room(x, self.low, self.high)
        space = towards(g, down - change, up - change).clamp(min=0)
        best = largest(by_position(g.abs() * space), self._counts(x))
        # The weakest coordinates need not get all the way: the step would have no end.
        needs = (space / g.abs().clamp(min=_WEAK) * over_channels(best, g)).flatten(1)
        reach = needs.amax(1) if needs.shape[1] else needs.sum(1)
        return _FAR * g * fit(reach, g)
