"""Eight bits are near lossless, and fewer bits cost more."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.claims.digits import split, trained
from holdfast.claims.harness import Claim, Trial
from holdfast.compress.round import RoundToNearest
from holdfast.core.data import Batches
from holdfast.core.fields import settings


@settings
class Unsigned(RoundToNearest):
    """The mutant: forgets the sign."""

    def _grid(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        step, value = super()._grid(groups)
        return step, value.abs()


@settings
class Narrow(RoundToNearest):
    """The mutant: cuts the grid at half of the largest weight."""

    def _grid(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        step, value = super()._grid(groups)
        top = groups.abs().amax(1, keepdim=True) / 2
        return step, value.clamp(-top, top)


@settings
class Shifted(RoundToNearest):
    """The mutant: each bit less adds a step to the width of a step, where it should double it."""

    def _grid(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        step = groups.abs().amax(1, keepdim=True) / 127 * (9 - self.bits)
        return step.expand_as(groups), (groups / step).round() * step


KINDS: dict[str, type[RoundToNearest]] = {
    "": RoundToNearest,
    "forgets-the-sign": Unsigned,
    "cuts-the-range": Narrow,
    "steps-grow-too-slowly": Shifted,
}


def _nll(model: nn.Module, data: Batches) -> float:
    with torch.no_grad():
        return float(F.cross_entropy(model.eval()(data.x), data.y))


@cache
def _learned(seed: int) -> tuple[nn.Module, Batches]:
    data, test = split(seed, 512)
    return trained(seed, data, "objective:supervised", 20), test


def trial(seed: int, mutant: str = "") -> Trial:
    """What rounding changes in the loss on held-out digits."""
    model, test = _learned(seed)
    losses = [_nll(KINDS[mutant](bits=bits)(model), test) for bits in (8, 4, 3, 2)]
    change = abs(losses[0] - _nll(model, test))
    rises = all(fewer > more - 0.005 for more, fewer in pairwise(losses))
    return Trial(change, 0.005, change < 0.005 and rises and losses[-1] > losses[0] + 0.005)


CLAIM = Claim(
    paper="rtn",
    methods=("rewrite:rtn",),
    says="Eight bits per channel change the loss by less than 0.005 nats; from 8 to 4, 3 and 2 "
    "bits it never falls by more than that, and 2 bits cost more than that.",
    why="a weaker statement of ours; tried as well, and does not hold: that it never falls at all; "
    "on one of three other seeds 4 bits lowered the held-out loss by 0.0033 nats",
    left="change of the held-out loss at 8 bits, in nats",
    right="0.005 nats",
    trial=trial,
    seeds=(41, 42, 43),
    mutants=("forgets-the-sign", "cuts-the-range", "steps-grow-too-slowly"),
    seconds=5,
)
