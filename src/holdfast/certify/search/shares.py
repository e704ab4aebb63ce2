"""Planes above the first neurons, chosen for a part: which share of each input they let through."""

from __future__ import annotations

import time
from copy import copy
from dataclasses import replace

import torch
from torch import Tensor

from holdfast.certify.linear.ascent import Ascent
from holdfast.certify.linear.hull import cases, ends, hull
from holdfast.certify.network.local import Local
from holdfast.certify.search.climb import BETA_RATE, LARGEST, SLOPE_RATE, Climb
from holdfast.certify.search.pairs import Pairs
from holdfast.certify.search.signs import SURE, Signed
from holdfast.certify.search.splits import Splits
from holdfast.ops.interval import Box

OUTGROWN = 4  # splits of a part after which planes are chosen for it anew
# Where nothing was chosen yet, and from there on: evaluations, the first step of a share, how large
# first steps of slopes and multipliers are, and what each step is of the one before.
FIRST, LATER = (80, 0.1, 1.0, 0.97), (20, 0.05, 0.2, 0.93)


def neurons_of(signed: Signed) -> dict[int, Local]:
    """By position of a ReLU, neurons that see what lies before all ReLUs: its box never shrinks."""
    graph, found = signed.graph, {}
    for i, p in signed.relus.items():
        neurons = Local.of(graph, p)
        if neurons is not None and graph.nodes[p].parents[0] < min(signed.relus):
            found[i] = neurons
    return found


class Shares(Climb):
    """An ascent in float32 on the shares, and on all else that is free in the bounds of a part.

    For coefficients as they are, planes are linear in their shares on either side of the kink where
    both cases are as large: no tape is needed here either.

    Args:
        pairs: one part with one alternative; its bounds have hulls.
        scale: by position of a ReLU, how large coefficients are there.
        neurons: by position of a ReLU.
    """

    def __init__(self, pairs: Pairs, scale: dict[int, float], neurons: dict[int, Local]) -> None:
        super().__init__(pairs, scale)
        bounds = pairs.bounds
        self.neurons = {i: v.rough() for i, v in neurons.items()}
        self.shares = {i: bounds.hulls[i].shares.clone()[None, None] for i in neurons}
        self.on: dict[int, Tensor] = {}
        self.ends: dict[int, Box] = {}
        for i, v in self.neurons.items():
            low, high = bounds.boxes[bounds.hulls[i].over]
            self.ends[i] = ends(v, Box(low.float(), high.float()))

    def climb(self, of: tuple[int, float, float, float], until: float) -> None:
        """Move everything, and keep the best.

        Args:
            of: `FIRST` or `LATER`.
            until: of `time.monotonic()`, after which no further evaluation begins.
        """
        steps, rate, pace, lasting = of
        free = [*self.slopes.values(), *self.betas.values(), *self.shares.values()]
        limits = [(0.0, 1.0)] * len(self.slopes) + [(0.0, LARGEST)] * len(self.betas)
        rates = [pace * SLOPE_RATE] * len(self.slopes)
        rates += [pace * BETA_RATE * self.scale[i] for i in self.slopes]
        limits, rates = limits + [(0.0, 1.0)] * len(self.shares), rates + [rate] * len(self.shares)
        Ascent(free, limits, rates, lasting).run(
            self.value, self.gradient, steps,
            lambda seen: bool((seen > SURE).all()) or time.monotonic() > until,
        )  # fmt: skip

    def value(self) -> Tensor:
        for i, v in self.neurons.items():
            share, draft = self.shares[i][0, 0], self.draft
            off, on = cases(v, share, self.ends[i])
            open_, above, _ = draft.fixed[i]
            draft.fixed[i] = open_, above, open_ * torch.maximum(off, on)
            draft.hulls[i], self.on[i] = v.weighted(v.weight * share), on > off
        return super().value()

    def gradient(self) -> list[Tensor]:
        found, draft = super().gradient()[: len(self.slopes) + len(self.betas)], self.draft
        for i, v in self.neurons.items():
            a = draft.passed[i].a.clamp(max=0) * draft.fixed[i][0]
            z = v.weight * v.seen(draft.values[draft.parents[i][1]][0])
            low, high = self.ends[i]
            most = torch.where(v.laid(self.on[i]).mT, high, low)
            found.append((v.laid(a[0]).mT * (z - most))[None, None])
        return found


def chords(signed: Signed, i: int, neurons: Local) -> Tensor:
    """Shares for which planes are the chords."""
    low, high = signed.root.boxes[signed.relus[i]]
    share = (high / (high - low).clamp(min=SURE)).clamp(0, 1)
    return neurons.laid(share).mT.expand_as(neurons.weight).float()


def shaped(signed: Signed, part: Splits, until: float) -> tuple[Signed, Splits]:
    """A region and a part of it, of one alternative, with planes chosen for the part.

    They hold on all of the region; a part only says which are worth taking.

    Args:
        signed: the region, with planes that were chosen for a larger part, or without.
        part: one row.
        until: of `time.monotonic()`.
    """
    found, part, neurons = copy(signed), part.clone(), neurons_of(signed)
    if not neurons:
        return signed, part
    over = {i: signed.graph.nodes[signed.relus[i]].parents[0] for i in neurons}

    def take(shares: dict[int, Tensor]) -> None:
        boxes = signed.root.boxes
        found.hulls = {i: hull(over[i], v, shares[i], boxes[over[i]]) for i, v in neurons.items()}

    if not signed.hulls:
        take({i: chords(signed, i, v) for i, v in neurons.items()})
    one = torch.zeros(1, dtype=torch.long)
    climb = Shares(found.pairs(part, one, one), signed.scale, neurons)
    climb.climb(LATER if signed.hulls else FIRST, until)
    take({i: v[0, 0] for i, v in climb.shares.items()})
    for store, now in ((part.slopes, climb.slopes), (part.betas, climb.betas)):
        for i, v in now.items():
            store[i].copy_(v)
    return found, replace(part, depth=torch.zeros_like(part.depth))


def outgrown(signed: Signed, parts: Splits) -> Tensor:
    """`(N,)` bool: parts so much smaller than what planes were chosen for that others may gain."""
    return (parts.depth >= OUTGROWN) & bool(signed.hulls)
