"""Boxes before bends from a reference: float32 tells signs, float64 sets the ends left open."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from math import inf
from typing import TypeAlias

import torch
from torch import Tensor

from holdfast.certify.linear import patched
from holdfast.certify.linear.carry import carries, ends
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.first import rows_of
from holdfast.certify.linear.patches import Around, patches
from holdfast.certify.linear.questions import Questions, questions, sites
from holdfast.certify.linear.reference import Reference
from holdfast.certify.linear.rough import Ready, lower, single
from holdfast.certify.network.bends import Relu
from holdfast.certify.network.section import cut
from holdfast.ops.interval import UNIT, Box, intersect

PILOT = 16  # of how many coordinates one is asked first
MUCH = 0.9  # share of those left open from which the last layers alone are not asked further
COLUMNS, ROUGH = 2**17, 2**19  # coefficients of windows held at once, half of them in float32
DENSE = 4  # times as many rows at once, where starting operations costs more than the cache saves
LOW = 0.3  # quantile of how much nearer ends come: open coordinates cost two rows of float64


def gains(bounds: Bounds, i: int, box: Box) -> Tensor:
    """`(B, n)` bool: coordinates whose tighter box would help a bend behind them."""
    found = torch.zeros_like(box.low, dtype=torch.bool)
    for bend in bounds.graph.behind(i):
        found |= bend.open(box)
    return found.flatten(1)


def screened(bounds: Bounds, i: int, box: Box, whole: Reference) -> Box:
    """The box of a node before ReLUs, tightened in float32, first at the end nearer to zero.

    Of most coordinates this end decides everything, and it has room to spare. It is asked of the
    last layers alone first, from the boxes before them. A few coordinates tell whether that
    helps, and how much nearer the ends come: those whose reference is nearer to zero than this
    are left alone. How much nearer is counted from where the ends of the others still lie: what
    the last layers said of the few alone is left out of it. What the same coefficients say of the
    other end is kept as well.
    """
    if not all(isinstance(bend, Relu) for bend in bounds.graph.behind(i)):
        return box
    sign = torch.where(box.high > -box.low, 1.0, -1.0).double()
    guess, before = torch.full_like(box.low.flatten(1), inf), box
    for start in dict.fromkeys((cut(bounds.graph, i), 0)):
        known = (Reference(bounds, i, start) if start else whole).ready(torch.float32, gaps=True)
        wanted, way = gains(bounds, i, box), torch.minimum(_way(known, before, sign), guess)
        few = wanted & (torch.arange(wanted.shape[1], device=wanted.device) % PILOT == 0)
        box = asked(bounds, known, i, box, sign, few)
        if not bool(few.any()):
            continue
        shares = (_way(known, box, sign) / way)[few].nan_to_num(0.0)
        left = gains(bounds, i, box)
        if start and int(left[few].sum()) > MUCH * int(few.sum()):
            continue
        doubt = known.value.abs() < shares.quantile(LOW) * way
        guess = torch.where(doubt, shares.quantile(0.5) * way, inf)
        box = before = asked(bounds, known, i, box, sign, wanted & ~few & ~doubt)
    return box


def _way(known: Ready, box: Box, sign: Tensor) -> Tensor:
    """How far the ends that are asked for lie from the reference."""
    low, high = box.flat()
    return torch.where(sign.flatten(1) > 0, known.value - low, high - known.value)


def asked(
    bounds: Bounds,
    known: Ready,
    i: int,
    box: Box,
    sign: Tensor | None = None,
    among: Tensor | None = None,
    until: float = inf,
) -> Box:
    """The box of a node with ends tightened where a bend behind it would gain.

    Args:
        bounds: what is known of the nodes up to `i`.
        known: the same, made ready.
        i: position of the node.
        box: what is known of it.
        sign: 1 where the lower end is asked for, -1 where the upper one; both if left out.
        among: `(B, n)` bool, the coordinates in question; all if left out.
        until: of `time.monotonic()`: what is not bounded by then keeps its interval.
    """
    low, high = (end.flatten(1).clone() for end in box)
    wanted = gains(bounds, i, box)
    wanted = wanted if among is None else wanted & among
    signs = None if sign is None else sign.flatten(1)
    for place, own, found in _ends(known, wanted, signs):
        if time.monotonic() > until:
            break
        value, m = known.value[place], place[1].shape[1]
        if sign is None:
            value = torch.cat([value, value], 1)
        down, up = (own * value + end for end in found())
        down = (down - 8 * UNIT * (value.abs() + down.abs())).nan_to_num(-inf, inf, -inf)
        up = (up + 8 * UNIT * (value.abs() + up.abs())).nan_to_num(inf, inf, -inf)
        below, above = torch.where(own > 0, down, -up)[:, :m], torch.where(own > 0, up, -down)
        for end, values in ((low, below), (high, above[:, -m:])):
            end[place] = torch.where(wanted[place], values, end[place])
    return intersect(box, Box(low.reshape(box.low.shape), high.reshape(box.high.shape)))


Place: TypeAlias = tuple[Tensor, Tensor]  # rows `(N, 1)`, coordinates `(N, m)`
Ends: TypeAlias = Callable[[], tuple[Tensor, Tensor]]


def _ends(
    known: Ready, wanted: Tensor, sign: Tensor | None
) -> Iterator[tuple[Place, Tensor, Ends]]:
    """Portions of the coordinates that are asked about, and what bounds each portion.

    With it comes the factor of each question: `sign` `(B, n)`, or one and minus one of each.
    """
    seen = patches(known)
    if seen is not None:
        around = Around.of(seen, known)
        most = max(1, COLUMNS // seen.size if sign is None else ROUGH // seen.size)
        for site in sites(seen.view, wanted, most):
            place = site.rows[:, None], site.unit
            at, own = _signed(site.at, None if sign is None else sign[place])
            yield place, own, partial(patched.lower, around, site.rows, site.place, at, own)
        return
    sides = (2.0 if sign is None else 0.5) / (1 if carries(known.graph) else DENSE)
    for some in questions(known, known.graph.output, wanted, sides, places=True, alive=True):
        if isinstance(some.bounds, Ready):
            place = some.rows[:, None], some.unit
            _, own = _signed(some.unit, None if sign is None else sign[place])
            yield place, own, partial(_whole, some, some.bounds, own, sign is None)


def _signed(at: Tensor, sign: Tensor | None) -> tuple[Tensor, Tensor]:
    """Questions and their factors: each once with its sign, or twice with both."""
    if sign is not None:
        return at, sign
    one = torch.ones(at.shape, dtype=torch.float64, device=at.device)
    return torch.cat([at, at], 1), torch.cat([one, -one], 1)


def _whole(some: Questions, bounds: Ready, own: Tensor, fine: bool) -> tuple[Tensor, Tensor]:
    """Ends of questions about whole rows, in float64 if they are fine."""
    dtype, start = torch.float64 if fine else torch.float32, some.start
    rows = None if carries(bounds.graph) else rows_of(bounds.graph, start, some.at)
    if rows is not None:
        at = torch.cat([some.at, some.at], 1) if fine else some.at
        return single(bounds, start, at, _times(torch.cat([rows, rows], 1) if fine else rows, own))
    a, first = some.coefficients(dtype)
    if fine:
        a, first = torch.cat([a, a], 1), None if first is None else torch.cat([first, first], 1)
    a, first = _times(a, own), None if first is None else _times(first, own)
    return (ends if carries(bounds.graph) else lower)(bounds, start, a, first)


def _times(a: Tensor, own: Tensor) -> Tensor:
    """Coefficients `(B, m, ...)` times a sign `(B, m)` each, written over them."""
    return a.mul_(own.to(a.dtype).reshape(*own.shape, *[1] * (a.dim() - 2)))
