"""Pasted boxes against plain training, where part of the digit is covered."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from statistics import mean

import torch
from torch import Tensor, nn

from holdfast.claims.fitted import accuracy, convolutional, fitted
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.fields import settings
from holdfast.core.kinds import Hook, Run
from holdfast.hooks.mixing import CutMix
from holdfast.ops.compose import drawn_boxes
from holdfast.run.training import TrainingRun

ROWS, EPOCHS = 300, 60


@settings
class KeepsLabels(CutMix):
    """Bug: boxes are pasted, labels stay."""

    def batch(self, run: Run, batch: Batch) -> Batch:
        return super().batch(run, batch)._replace(y=batch.y)


@settings
class PastesNothing(CutMix):
    """Bug: the box is taken from the row itself."""

    def batch(self, run: Run, batch: Batch) -> Batch:
        return super().batch(run, batch)._replace(x=batch.x, y=batch.y)


HOOKS: dict[str, tuple[Hook, ...]] = {
    "": (CutMix(each=True),), "plain": (), "labels-stay": (KeepsLabels(each=True),),
    "pastes-nothing": (PastesNothing(),),
}  # fmt: skip


@cache
def _net(seed: int, kind: str) -> nn.Module:
    data = digits(seed)[0].take(slice(0, ROWS))
    small = replace(data, size=50)
    model = convolutional(1, 10, seed)
    return fitted(model, small, epochs=EPOCHS, seed=seed, hooks=HOOKS[kind])


def _covered(seed: int, kind: str) -> float:
    """Accuracy where a square of 3 by 3 pixels anywhere is black, mean over three places each."""
    _, test = digits(seed)
    model, x = _net(seed, kind).eval(), test.x
    found = []
    for look in range(3):
        middle = Dice(look, torch.arange(len(test))).uniform((2,), dtype=torch.float64)
        area = torch.full((len(test),), 9 / 64, dtype=torch.float64)
        hidden: Tensor = x.masked_fill(drawn_boxes(area, middle, (8, 8))[:, None], 0)  # type: ignore[union-attr]
        found.append(accuracy(model, hidden, test.y))
    return mean(found)


def _exact(kind: str) -> bool:
    """Whether labels keep the share of the pixels that rows keep."""
    x = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 8, 8)
    batch, hook = Batch(x, torch.arange(4), torch.arange(4)), HOOKS[kind][0]
    run = TrainingRun(convolutional(1, 4, 0), nn.ModuleDict(), Dice.of(4), 1)
    out = hook.batch(run, batch)
    kept = (out.x == x).flatten(1).double().mean(1)  # type: ignore[union-attr]
    said = out.y if out.y.is_floating_point() else torch.eye(4)[out.y]
    return bool(torch.allclose(said.diagonal().double(), kept))


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean accuracy of three nets on covered digits with pasted boxes and without."""
    nets = range(3 * seed + 1, 3 * seed + 4)
    if not _exact(mutant):
        return Trial(0.0, 1.0, False)
    left, right = (mean(_covered(net, kind) for net in nets) for kind in (mutant, "plain"))
    return Trial(left, right, left > right + 0.02)


CLAIM = Claim(
    paper="cutmix",
    methods=("hook:cutmix", "recipe:cutmix"),
    says="Learned from 300 digits with pasted boxes, convolutional nets are more than two points "
    "more accurate in the mean of three where a square of 3 by 3 pixels is black than those "
    "learned plainly; labels keep exactly the share of the pixels.",
    left="mean accuracy on covered digits with pasted boxes",
    right="without",
    trial=trial,
    seeds=(0,),
    mutants=("labels-stay", "pastes-nothing"),
    seconds=30,
    quick=False,
)
