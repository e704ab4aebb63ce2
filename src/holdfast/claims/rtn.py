"""Eight bits are near lossless."""

from __future__ import annotations

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


def _nll(model: nn.Module, data: Batches) -> float:
    with torch.no_grad():
        return float(F.cross_entropy(model.eval()(data.x), data.y))


def trial(seed: int, mutant: str = "") -> Trial:
    """What rounding to 8 bits changes in the loss on held-out digits."""
    data, test = split(seed, 512)
    model = trained(seed, data, "objective:supervised", 20)
    kind = {"": RoundToNearest, "forgets-the-sign": Unsigned, "cuts-the-range": Narrow}[mutant]
    dense = _nll(model, test)
    change = abs(_nll(kind(bits=8)(model), test) - dense)
    return Trial(change, 0.005, change < 0.005)


CLAIM = Claim(
    paper="rtn",
    methods=("rewrite:rtn",),
    says="Eight bits per channel change the loss by less than 0.005 nats.",
    left="change of the held-out loss at 8 bits, in nats",
    right="0.005 nats",
    trial=trial,
    seeds=(11, 12, 13),
    mutants=("forgets-the-sign", "cuts-the-range"),
    seconds=5,
)
