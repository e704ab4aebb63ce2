"""Certificates against vector fields: boxes and planes around displaced pixels, then CROWN."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from holdfast.certify.linear.bounds import Intermediate, margins, propagate
from holdfast.certify.linear.crown import CROWN
from holdfast.certify.linear.region import Region
from holdfast.certify.reading.reader import read
from holdfast.core.catalog import register
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError
from holdfast.core.fields import settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.ops.bilinear import Planes, displaced_box, planes
from holdfast.ops.fields import lower_on_fields, lower_on_smooth_fields
from holdfast.ops.interval import TINY, Box, Index, gamma
from holdfast.ops.linear import lower_on_box
from holdfast.threats.flow import Flow
from holdfast.threats.shared import Shared

ADMITTED = 2e-5  # by which a judge may overlook that a change is too large; twice that


@dataclass(frozen=True, eq=False)
class Displaced(Region):
    """Images whose pixels are read aside: a box, and planes in the displacement of each pixel.

    Args:
        planes: around every pixel, of the shape of the box.
        reach: length of a displacement.
        order: of its norm.
        smooth: largest difference of neighbours; None where it is free or left out.
    """

    planes: Planes | None = None
    reach: float = 0.0
    order: float = torch.inf
    smooth: float | None = None

    def take(self, rows: Index) -> Displaced:
        """The regions of a selection of rows."""
        p = self.planes
        part = None if p is None else Planes(p.low[rows], p.high[rows], p.slope[:, rows])
        radius = None if self.radius is None else self.radius[rows]
        return replace(
            self, box=self.box.take(rows), centre=self.centre[rows], radius=radius, planes=part
        )

    def lower(self, a: Tensor) -> Tensor:
        """`(B, m)`: numbers below `a . x`, by the box and by the planes.

        Planes turn `a . x` into a constant and a linear function of the displacements; one
        displacement serves all channels, so their coefficients add up before the dual norm.

        Args:
            a: `(B, m, n)` coefficients.
        """
        bound = lower_on_box(a, self.box.flat())
        if self.planes is None:
            return bound
        low, high, slope = self.planes
        wide = a.unflatten(2, low.shape[1:])
        constant = wide.clamp(min=0) * low[:, None] + wide.clamp(max=0) * high[:, None]
        terms = wide[None] * slope[:, :, None]
        c = terms.sum(3).permute(1, 2, 0, 3, 4)
        field = c.flatten(0, 1)
        if self.smooth is None:
            found = lower_on_fields(field, self.reach, self.order)
        else:
            found = lower_on_smooth_fields(field, self.reach, self.order, self.smooth)
        size = torch.maximum(low.abs(), high.abs())[:, None] * wide.abs()
        mass = size.flatten(2).sum(2) + 2 * self.reach * terms.abs().sum(0).flatten(2).sum(2)
        error = 2 * gamma(2 * a.shape[2] + 16) * mass + TINY
        return torch.maximum(bound, constant.flatten(2).sum(2) + found.reshape(bound.shape) - error)


def displaced_region(threat: Flow, x: Tensor) -> Displaced:
    """Everything that the model may be shown under a flow, its own rounding included.

    Args:
        threat: the flow.
        x: `(B, C, H, W)` images.
    """
    threat.none(x)  # refuses what is no image
    eps = torch.finfo(x.dtype).eps
    more = 1 + ADMITTED + 4 * eps
    reach, smooth = threat.pixels * more, threat.smooth
    kinds = [displaced_box(x, reach, threat.order, threat.fill)]
    found = planes(x, reach, threat.order, threat.fill, flat=False)
    # The model is shown a sum of four products, each of three rounded factors, rounded once more.
    largest = x.double().abs().flatten(1).amax(1) if x.numel() else x.new_zeros(len(x)).double()
    slack = (16 * eps * largest.clamp(min=abs(threat.fill)))[:, None, None, None]
    tiny = torch.finfo(x.dtype).tiny
    box = Box(kinds[0].low - slack - tiny, kinds[0].high + slack + tiny)
    around = Planes(found.low - slack - tiny, found.high + slack + tiny, found.slope)
    radius = torch.full((len(x),), reach, dtype=torch.float64, device=x.device)
    uneven = None if smooth is None else smooth * more
    return Displaced(box, x.double(), radius, torch.inf, around, reach, threat.order, uneven)


@register(
    "certifier",
    cites="spatial-certification",
    says="Bounds pixels moved by a vector field by boxes and planes, and what follows by CROWN.",
)
@settings
class Spatial(Certifier):
    """Encloses every displaced pixel in a box and between two planes, then bounds by CROWN.

    The linear function of the pixels that remains becomes one of the displacements, which is
    minimised exactly where they are free; where neighbours may only differ by so much, a linear
    program finds multipliers, and the bound is computed anew from them, so that the solver is
    not trusted. Never looser than the box alone. Other threats are bounded as by CROWN.

    Unlike the paper: planes are parallel, with slopes by least squares instead of a linear
    program per pixel; discs are bounded by points on the circle and its curvature; no MILP.
    Smoothness is used for the margin only, not for the neurons before it.

    Args:
        intermediate: how the interval of each bend is found: `crown` or, cheaper, `ibp`.

    Cost: that of CROWN, about a thousand displaced copies of the images (nine where the norm is
    the maximum and displacements stay below one pixel), and with smoothness two linear programs
    per way of each row.
    """

    intermediate: Intermediate = "crown"

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """Upper bounds of the margin over all vector fields of the threat.

        Args:
            model: in eval mode, made of the operators that can be read.
            x: `(B, C, H, W)` images.
            goal: linear in the logits.
            threat: a flow, or whatever CROWN accepts.
            dice: not used.

        Raises:
            Unsupported: for an operator, goal or threat that cannot be bounded.
            ShapeError: if the inputs are no floating point tensor.
        """
        inner: Any = threat.threat if isinstance(threat, Shared) else threat
        if not isinstance(inner, Flow):
            found = CROWN(intermediate=self.intermediate)(model, x, goal, threat, dice=dice)
            return replace(found, about=model, threat=threat)
        if not isinstance(x, Tensor) or not x.dtype.is_floating_point:
            raise ShapeError("a flow moves floating point images", fix="Pass x.float() / 255.")
        x = x.detach()
        region = displaced_region(inner, x)
        graph = read(model, x, [region.box.low.to(x.dtype), region.box.high.to(x.dtype)])
        c, constant = goal.linear(graph.nodes[graph.output].shape[0])
        if not len(x):
            return Certificate(model, threat, x.new_zeros(0).double())
        with torch.no_grad():
            c, constant = c.to(x.device).double(), constant.to(x.device).double()
            bounds = propagate(graph, replace(region, smooth=None), self.intermediate)
            bounds = replace(bounds, region=region)
            ends = [margins(bounds, c, constant, relax=relax) for relax in (True, False)]
            return Certificate(model, threat, torch.minimum(*ends).amax(1))
