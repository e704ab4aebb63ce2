"""Slopes and multipliers worth taking, found in float32: no bound rests on its numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.certify.linear.ascent import DECAY, Ascent
from holdfast.certify.linear.draft import Draft
from holdfast.certify.search.pairs import Pairs

SLOPE_RATE, BETA_RATE, MIX_RATE = 0.3, 2.0, 0.3  # first steps of the ascent
LARGEST = 1e6  # of a multiplier


@dataclass(eq=False)
class Climb:
    """What is free in the bounds of some pairs, in float32.

    A bound is concave in its slopes and multipliers, and its slope in a multiplier is the value of
    the neuron, signed, where the linear function that remained is least: no tape is needed.

    Args:
        pairs: what is bounded.
        scale: by position of a ReLU, how large coefficients are there.
    """

    pairs: Pairs
    scale: dict[int, float]

    def __post_init__(self) -> None:
        pairs = self.pairs
        self.draft = Draft(pairs.bounds, pairs.bounds.graph.output, 1)
        self.slopes: dict[int, Tensor] = {}
        self.betas = {p: v.float() for p, v in pairs.betas.items()}
        self.signs = {p: -v.float() for p, v in pairs.signs.items()}
        self.mix = pairs.mix.float()
        self.c = pairs.mixtures.c[pairs.which].float()
        self.d = (pairs.mixtures.d[pairs.which] + pairs.slack).float()
        for i, v in pairs.slopes.items():
            open_, above, _ = self.draft.fixed[i]
            self.slopes[i] = torch.where(open_ > 0, v.float(), above)
            self.draft.free[self.draft.slots[i].start] = self.slopes[i]

    def run(self, steps: int, done: Callable[[Tensor], bool], decay: float = DECAY) -> None:
        """Move all that is free, and keep the best.

        Args:
            steps: evaluations.
            done: of the bounds `(Q, 1)`, whether to stop.
            decay: what each step is of the one before.
        """
        mixed = self.mix.shape[2] > 1
        free = [*self.slopes.values(), *self.betas.values(), *([self.mix] if mixed else [])]
        ends = [(0.0, 1.0)] * len(self.slopes) + [(0.0, LARGEST)] * len(self.betas)
        rates = [SLOPE_RATE] * len(self.slopes)
        rates += [BETA_RATE * self.scale[i] for i in self.slopes]
        if mixed:
            ends, rates = [*ends, (-20.0, 20.0)], [*rates, MIX_RATE]
        Ascent(free, ends, rates, decay).run(self.value, self.gradient, steps, done)
        stores = (self.pairs.slopes, self.slopes), (self.pairs.betas, self.betas)
        for store, found in stores:
            for i, v in found.items():
                store[i].copy_(v)
        self.pairs.mix.copy_(self.mix)

    def value(self) -> Tensor:
        """`(Q, 1)`: the bounds as they are."""
        self.draft.push = {p: self.signs[p] * beta for p, beta in self.betas.items()}
        a, d = self.asked()
        return self.draft.down(a, None) - d

    def asked(self) -> tuple[Tensor, Tensor]:
        """The mixture of rows of each pair: coefficients `(Q, 1, *shape)`, right side `(Q, 1)`."""
        share = self.pairs.mixtures.share(self.pairs.which, self.mix)
        shape = self.pairs.bounds.graph.nodes[self.draft.start].shape
        a = (share @ self.c).reshape(len(share), 1, *shape)
        return a, (share @ self.d[:, :, None])[:, :, 0]

    def gradient(self) -> list[Tensor]:
        """The slopes of the last bounds in all that is free."""
        mixed = self.mix.shape[2] > 1
        every, draft = self.draft.up(whole=mixed), self.draft
        found = [every[draft.slots[i].start] for i in self.slopes]
        found += [self.signs[p] * draft.values[p] for p in self.betas]
        if mixed:
            share = self.pairs.mixtures.share(self.pairs.which, self.mix)
            rows = (self.c @ draft.values[draft.start].flatten(1)[:, :, None])[:, :, 0] - self.d
            mean = (share[:, 0] * rows).sum(1, keepdim=True)
            found.append(share * (rows - mean)[:, None])
        return found
