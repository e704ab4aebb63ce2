"""Planes above the first neurons, chosen for parts: which share of each input they let through."""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch import Tensor

from holdfast.certify.linear.ascent import Ascent
from holdfast.certify.linear.hull import First
from holdfast.certify.network.local import Kernels
from holdfast.certify.search.climb import BETA_RATE, LARGEST, SLOPE_RATE, Climb
from holdfast.certify.search.pairs import Pairs
from holdfast.certify.search.signs import SURE, Signed
from holdfast.certify.search.splits import Splits

OUTGROWN = 4  # splits of a part after which planes are chosen for it anew
# Where nothing was chosen yet, and from there on: evaluations, the first step of a share, how large
# first steps of slopes and multipliers are, and what each step is of the one before.
FIRST, LATER = (80, 0.1, 1.0, 0.97), (20, 0.05, 0.2, 0.93)


class Shares(Climb):
    """An ascent in float32 on the shares, and on all else that is free in the bounds of parts.

    For coefficients as they are, planes are linear in their shares on either side of the kink where
    both cases are as large: no tape is needed here either.

    Args:
        pairs: parts with one alternative; their bounds have hulls.
        scale: by position of a ReLU, how large coefficients are there.
        first: by position of a ReLU, its neurons.
        shares: `(N, K, window)` where to begin.
    """

    def __init__(
        self, pairs: Pairs, scale: dict[int, float], first: dict[int, First],
        shares: dict[int, Tensor],
    ) -> None:  # fmt: skip
        super().__init__(pairs, scale)
        self.first = {i: v.single for i, v in first.items()}
        self.shares = {i: v[:, None].clone() for i, v in shares.items()}
        self.on: dict[int, Tensor] = {}
        self.open = {i: v.neurons.own(self.draft.fixed[i][0][:, 0]) for i, v in first.items()}

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
        for i, first in self.first.items():
            share, draft, neurons = self.shares[i][:, 0], self.draft, first.neurons
            off, on = first.cases(share)
            open_, above, offset = draft.fixed[i]
            own = neurons.among(self.open[i] * torch.maximum(off, on), offset[:, 0])
            draft.fixed[i] = open_, above, own[:, None]
            draft.hulls[i], self.on[i] = Kernels(neurons, neurons.weight * share), on > off
        return super().value()

    def gradient(self) -> list[Tensor]:
        found, draft = super().gradient()[: len(self.slopes) + len(self.betas)], self.draft
        for i, first in self.first.items():
            a = first.neurons.own(draft.passed[i].a[:, 0].clamp(max=0)) * self.open[i]
            z = first.neurons.weight * first.neurons.seen(draft.values[first.over][:, 0])
            most = torch.where(self.on[i][:, :, None], first.reach.high, first.reach.low)
            found.append((a[:, :, None] * (z - most))[:, None])
        return found


def chords(signed: Signed) -> dict[int, Tensor]:
    """Shares `(1, K, window)` for which planes are the chords."""
    found = {}
    for i, first in signed.first.items():
        low, high = signed.root.boxes[signed.relus[i]]
        share = first.neurons.own((high / (high - low).clamp(min=SURE)).clamp(0, 1))
        found[i] = share[:, :, None].repeat(1, 1, first.neurons.terms).float()
    return found


def shaped(signed: Signed, parts: Splits, until: float) -> Splits:
    """Parts of one alternative, with planes chosen for each of them.

    Args:
        signed: the region.
        parts: with planes that were chosen for larger parts, or without.
        until: of `time.monotonic()`.
    """
    if not signed.first:
        return parts
    begin, parts = bool(parts.shares), parts.clone()
    if not begin:
        none = torch.zeros(len(parts), dtype=torch.long)
        parts = roofed(signed, parts, {i: v[none] for i, v in chords(signed).items()})
    every = torch.arange(len(parts))
    pairs = signed.pairs(parts, every, torch.zeros_like(every))
    climb = Shares(pairs, signed.scale, signed.first, parts.shares)
    climb.climb(LATER if begin else FIRST, until)
    for store, now in ((parts.slopes, climb.slopes), (parts.betas, climb.betas)):
        for i, v in now.items():
            store[i].copy_(v)
    parts = roofed(signed, parts, {i: v[:, 0] for i, v in climb.shares.items()})
    return replace(parts, depth=torch.zeros_like(parts.depth))


def roofed(signed: Signed, parts: Splits, shares: dict[int, Tensor]) -> Splits:
    """Parts with the planes of some shares."""
    return replace(parts, shares=shares,
                   roofs={i: signed.first[i].offsets(v) for i, v in shares.items()})  # fmt: skip


def outgrown(parts: Splits) -> Tensor:
    """`(N,)` bool: parts so much smaller than what planes were chosen for that others may gain."""
    return (parts.depth >= OUTGROWN) & bool(parts.shares)


def reshaped(signed: Signed, parts: Splits, until: float) -> Splits:
    """Parts, those among them with new planes that have outgrown theirs."""
    old = outgrown(parts)
    if not bool(old.any()):
        return parts
    return Splits.join([parts.take(~old), shaped(signed, parts.take(old), until)])
