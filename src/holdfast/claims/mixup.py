"""Mixed rows and labels against plain ones, where a quarter of the labels is wrong."""

from __future__ import annotations

from functools import cache
from statistics import mean

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.attacks.pgd import FGSM
from holdfast.claims.digits import accuracy, net, split
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later, settings
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Hook, Run
from holdfast.hooks.mixing import Mixup, order
from holdfast.run.loop import Training
from holdfast.run.search import search
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import LInf

ROWS, EPOCHS, NOISE = 300, 100, 0.25


@settings
class OtherShare(Mixup):
    """Bug: the label has the shares of the inputs the wrong way round."""

    def batch(self, run: Run, batch: Batch) -> Batch:
        out = super().batch(run, batch)
        partner = order(len(batch.index), run.dice.spawn("mixup"))
        both = F.one_hot(batch.y, 10) + F.one_hot(batch.y[partner], 10)
        return out._replace(y=both - out.y)


@settings
class MixesWithItself(Mixup):
    """Bug: every row is its own partner."""

    def batch(self, run: Run, batch: Batch) -> Batch:
        return batch


HOOKS: dict[str, tuple[Hook, ...]] = {
    "": (Mixup(),), "plain": (), "other-share": (OtherShare(),), "own-row": (MixesWithItself(),),
}  # fmt: skip


@cache
def _net(seed: int, kind: str) -> tuple[nn.Module, Batches]:
    data, test = split(seed, ROWS, noise=NOISE)
    model = net(seed, width=128)
    plan = Training(epochs=EPOCHS, optimizer=Later("torch:Adam", lr=3e-3), hooks=HOOKS[kind])
    plan(model, data, dice=Dice.of(ROWS, seed))
    return model, test


def _score(seed: int, kind: str) -> tuple[float, float]:
    """Accuracy on usual rows and under one step of 0.05."""
    model, test = _net(seed, kind)
    x: Tensor = test.x  # type: ignore[assignment]
    found = search(FGSM, model, x, Untargeted(test.y), LInf(radius=0.05))
    return accuracy(model, test), 1 - float(found.broken.double().mean())


def _exact(kind: str) -> bool:
    """Whether labels are mixed in the shares of the inputs: rows that are their own labels."""
    eye = torch.eye(10)
    run = TrainingRun(nn.Identity(), nn.ModuleDict(), Dice.of(10), 1)
    out = HOOKS[kind][0].batch(run, Batch(eye, torch.arange(10), torch.arange(10)))
    said = out.y if out.y.is_floating_point() else eye[out.y]
    return bool(torch.allclose(said, out.x))  # type: ignore[arg-type]


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean accuracy of five nets after mixing and after plain training."""
    if not _exact(mutant):
        return Trial(0.0, 1.0, False)
    nets = range(5 * seed + 1, 5 * seed + 6)
    mixed, plain = ([_score(net, kind) for net in nets] for kind in (mutant, "plain"))
    usual, hard = (
        [mean(score[place] for score in scores) for scores in (mixed, plain)] for place in (0, 1)
    )
    return Trial(usual[0], usual[1], usual[0] > usual[1] + 0.02 and hard[0] >= hard[1])


CLAIM = Claim(
    paper="mixup",
    methods=("hook:mixup", "recipe:mixup"),
    says="Where a quarter of 300 labels is drawn at random, mixing rows and labels gains more than "
    "two points of accuracy over plain training in the mean of five nets, and loses none under one "
    "step of 0.05; both are mixed in the same shares.",
    left="mean accuracy on digits after mixing",
    right="after plain training",
    trial=trial,
    seeds=(0,),
    mutants=("other-share", "own-row"),
    seconds=40,
    quick=False,
)
