"""Boxes of values before bends, tightened by linear bounds of their own."""

from __future__ import annotations

import time
from math import inf, prod

import torch
from torch import Tensor

from holdfast.certify.linear.ascent import ascend
from holdfast.certify.linear.backward import backward, evaluated
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.questions import Questions, questions
from holdfast.certify.linear.reference import Reference
from holdfast.certify.linear.rough import worthwhile
from holdfast.certify.linear.screen import asked, gains, screened
from holdfast.certify.network.bends import Bend, Planes
from holdfast.ops.interval import Box, intersect

Slopes = dict[int, Tensor]  # by position of a ReLU, `(2, n, *shape)`: for lower and upper bounds


def refined(
    bounds: Bounds,
    i: int,
    shares: dict[int, Tensor] | None = None,
    steps: int = 0,
    chosen: dict[int, dict[int, Tensor]] | None = None,
    until: float = inf,
    least: float = 0.0,
    rows: Tensor | None = None,
    slopes: Slopes | None = None,
) -> Box:
    """The box of a node, tightened by backward bounds where a bend behind it would gain.

    Args:
        bounds: what is known of the nodes up to `i`.
        i: position of the node.
        shares: as in `propagate`.
        steps: moves by which the planes for each coordinate are optimised.
        chosen: as in `propagate`.
        until: of `time.monotonic()`: what is not bounded by then keeps its interval.
        least: a coordinate stops when two moves gain less than this share of its whole gain.
        rows: `(B,)` bool: which rows are bounded anew after a small change, by which few signs
            become known, so that no sign is told in float32 first; None for the first time.
        slopes: below the ReLUs before the node, instead of those of `bounds`.
    """
    box = bounds.boxes[i]
    whole = shares is not None or chosen is not None or slopes is not None
    if not steps and rows is None and worthwhile(bounds):
        reference = Reference(bounds, i)
        box = screened(bounds, i, box, reference)
        if not whole:
            return asked(bounds, reference.ready(torch.float64), i, box, until=until)
    low, high = (end.flatten(1).clone() for end in box)
    every: dict[int, Tensor] = {}
    if chosen is not None:
        every = chosen[i] = _default(bounds, i)
    if shares is not None:
        shares[i] = low.new_zeros(*low.shape, prod(bounds.graph.nodes[0].shape))
    wanted = gains(bounds, i, box)
    if rows is not None:
        wanted &= rows[:, None]
    places = not whole and not (steps and _curved(bounds, i))
    for some in questions(bounds, i, wanted, 2, places=places, alive=chosen is slopes is None):
        if time.monotonic() > until:
            break
        own: dict[int, Tensor] | None = None if chosen is None else {}
        below, above, line = _both(some, steps, own, least, slopes)
        at, unit, m = some.rows[:, None], some.unit, some.unit.shape[1]
        for j, found in (own or {}).items():
            for k, place in enumerate((unit, unit + low.shape[1])):
                every[j][at, place] = found[:, k * m : (k + 1) * m]
        if shares is not None and line is not None:
            widths = (some.bounds.region.box.high - some.bounds.region.box.low).flatten(1)
            slope = (line[:, :m] - line[:, m:]).flatten(2) / 2
            shares[i][at, unit] = slope.abs() * widths[:, None]
        some.put(low, wanted, below)
        some.put(high, wanted, above)
    return intersect(box, Box(low.reshape(box.low.shape), high.reshape(box.high.shape)))


def _curved(bounds: Bounds, i: int) -> bool:
    """Whether a bend before a value is no ReLU: chosen anew, its planes are not zero off images."""
    nodes = bounds.graph.nodes[:i]
    return any(isinstance(node.operator, Bend) and not node.is_relu for node in nodes)


def _default(bounds: Bounds, i: int) -> dict[int, Tensor]:
    """The slopes below each ReLU before a value, for both bounds of each of its coordinates."""
    twice = 2 * prod(bounds.graph.nodes[i].shape)
    return {
        j: planes.below[0][:, None].repeat(1, twice, *[1] * (planes.below[0].dim() - 1))
        for j, planes in bounds.planes.items()
        if bounds.graph.nodes[j].is_relu
    }


def _both(
    some: Questions,
    steps: int,
    chosen: dict[int, Tensor] | None,
    least: float,
    slopes: Slopes | None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Bounds `(N, m)` of coordinates from below and above, and slopes `(N, 2 m, ...)` of both."""
    one, first = some.coefficients()
    most = one.shape[1]
    both = torch.cat([one, -one], 1)
    first = None if first is None else torch.cat([first, -first], 1)
    if steps:
        found = ascend(
            some.bounds, some.start, both, steps, first=first, chosen=chosen, least=least
        )
        return found[:, :most], -found[:, most:], None
    planes = None if slopes is None else _taken(some, slopes)
    line = backward(some.bounds, some.start, both, first=first, planes=planes)
    found = evaluated(some.bounds, line)
    return found[:, :most], -found[:, most:], line.slope


def _taken(some: Questions, slopes: Slopes) -> dict[int, Planes]:
    """Planes around each bend for both bounds of some coordinates, with given slopes."""
    bounds, planes = some.bounds, dict(some.bounds.planes)
    for j, both in slopes.items():
        fixed, (low, high) = planes[j], bounds.boxes[bounds.graph.nodes[j].parents[0]]
        own = torch.cat([side[some.unit] for side in both], 1)
        below = torch.where(((low < 0) & (high > 0))[:, None], own, fixed.below[0][:, None])
        planes[j] = fixed._replace(below=(below,))
    return planes
