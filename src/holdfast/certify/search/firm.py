"""Bounds of neurons behind the first ones, each with planes above the first that are its own."""

from __future__ import annotations

import time
from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.hull import First
from holdfast.certify.network.graph import Graph
from holdfast.certify.search.shares import Shares, chords, roofed
from holdfast.certify.search.signs import Signed
from holdfast.certify.search.unsafe import Unsafe
from holdfast.ops.interval import Box, intersect

OWN = (40, 0.1, 1.0, 0.95)  # as `shares.FIRST`, for one end of a neuron
TOGETHER, NUMBERS = 16, 2**22  # neurons bounded at once, and shares


def firmed(bounds: Bounds, relus: dict[int, int], until: float) -> Bounds:
    """Bounds of one row, the open neurons behind the first ReLUs bounded anew, layer by layer.

    The plane above a ReLU that is best for the outputs is not the best for a neuron behind it. With
    planes of its own each becomes narrower, and as chords lose less above narrow neurons, what
    is gained grows from layer to layer.

    Args:
        bounds: of a network.
        relus: by position of a ReLU, that of the value before it.
        until: of `time.monotonic()`; layers share what is left of the time alike.
    """
    graph, region, boxes = bounds.graph, bounds.region, dict(enumerate(bounds.boxes))
    first = First.of(graph, relus, bounds.boxes)
    later = [p for p in dict.fromkeys(relus.values()) if first and p > min(first)]
    for k, p in enumerate(later):
        known, now = propagate(graph, region, "ibp", boxes), time.monotonic()
        boxes[p] = firmer(known, p, now + (until - now) / (len(later) - k))
    return propagate(graph, region, "ibp", boxes)


def firmer(bounds: Bounds, p: int, until: float) -> Box:
    """The box of a value, its open neurons bounded with planes of their own."""
    box = bounds.boxes[p]
    unit = ((box.low < 0) & (box.high > 0)).flatten().nonzero().flatten()
    # Neurons at one place see the same, so that they share what is left out.
    unit = unit[(unit % prod(box.low.shape[2:])).argsort(stable=True)]
    low, high = (end.flatten().clone() for end in box)
    size = TOGETHER
    while len(unit) and time.monotonic() < until:
        few, unit = unit[:size], unit[size:]
        found, shares = ends(bounds, p, few, until)
        low[few], high[few] = found[: len(few)], -found[len(few) :]
        size = max(1, min(TOGETHER, NUMBERS * size // max(1, shares)))
    return intersect(box, Box(low.reshape(box.low.shape), high.reshape(box.high.shape)))


def ends(bounds: Bounds, p: int, unit: Tensor, until: float) -> tuple[Tensor, int]:
    """`(2 m,)` numbers below m neurons of a value and below their negatives; shares moved for it.

    Args:
        bounds: of one row.
        p: position of the value.
        unit: `(m,)`.
        until: of `time.monotonic()`.
    """
    m, every = len(unit), torch.arange(2 * len(unit))
    none = torch.zeros(2 * m, dtype=torch.float64)
    c = torch.zeros(2 * m, bounds.boxes[p].low.numel(), dtype=torch.float64)
    c[every[:m], unit], c[every[m:], unit] = 1.0, -1.0
    graph = Graph(bounds.graph.nodes[: p + 1], p)
    root = replace(bounds, graph=graph)
    signed = Signed(graph, root, Unsafe(c, none, every, 2 * m), renew=False)
    parts = signed.whole(none[None] - torch.inf).take(torch.zeros_like(every))
    seen: dict[int, Tensor] = {}
    signed.pairs(parts, every, every).line(seen)
    signed.first = {
        i: v.few((v.neurons.own(seen[i][:, 0]) < 0).any(0))
        for i, v in signed.first.items() if i in seen
    }  # fmt: skip
    parts = roofed(signed, parts, {i: v.repeat(2 * m, 1, 1) for i, v in chords(signed).items()})
    pairs = signed.pairs(parts, every, every)
    climb = Shares(pairs, signed.scale, signed.first, parts.shares)
    climb.climb(OWN, until)
    parts = roofed(signed, parts, {i: v[:, 0] for i, v in climb.shares.items()})
    slopes = {i: v.double() for i, v in climb.slopes.items()}
    pairs = replace(signed.pairs(parts, every, every), slopes=slopes)
    found = pairs.below(*pairs.line())[:, 0].nan_to_num(-torch.inf, torch.inf, -torch.inf)
    return found, sum(v.numel() for v in climb.shares.values())
