"""Training makes units lazy, whatever it trains on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.claims.digits import split
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.tiny_transformer import Block
from holdfast.compress.top_k import TopKActivations
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.layers.top_k import TopK
from holdfast.measures.model.activation_sparsity import activation_sparsity
from holdfast.run.loop import Training

ROWS, WIDTH, EPOCHS, K = 320, 96, 40, 16
RECTIFIER = "block.mlp.1"


class _Negative(TopK):
    """The mutant: keeps the smallest."""

    def forward(self, h: Tensor) -> Tensor:
        return h - super().forward(h)


class Vision(nn.Module):
    """A transformer of one block over the sixteen patches of a digit."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.block, self.head = (
            nn.Linear(4, 24),
            Block(24, WIDTH, 2, False),
            nn.Linear(24, 10),
        )
        self.position = nn.Parameter(torch.randn(16, 24))

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 10)` logits of pixels `(B, 64)`."""
        parts = x.view(-1, 4, 2, 4, 2).transpose(2, 3).reshape(-1, 16, 4)
        out: Tensor = self.head(self.block(self.patch(parts) + self.position).mean(1))
        return out


def _net(seed: int) -> Vision:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Vision()


def _share(model: nn.Module, data: Batches, mutant: str) -> float:
    layer = {"counts-before-rectifying": "block.mlp.0"}.get(mutant, RECTIFIER)
    active = float(activation_sparsity(model, data, layers=(layer,)).active[layer].mean())
    return 1 - active if mutant == "counts-zeros" else active


def trial(seed: int, mutant: str = "") -> Trial:
    """Share of active units before training, and after it on true and on random labels."""
    data, test = split(seed, ROWS)
    random = torch.randint(10, (ROWS,), generator=torch.Generator().manual_seed(seed))
    plan = Training(epochs=EPOCHS, optimizer=Later("torch:Adam", lr=3e-3, foreach=True))
    shares = [_share(_net(seed), test, mutant)]
    for y in (data.y, random):
        model = _net(seed)
        plan(model, Batches(x=data.x, y=y, size=64))
        shares.append(_share(model, test, mutant))
    few = TopKActivations(k=K)(_net(seed))
    if mutant == "keeps-the-smallest":
        few.get_submodule(RECTIFIER).add_module("1", _Negative(K))
    exact = (
        float(activation_sparsity(few, test, layers=(RECTIFIER,)).active[RECTIFIER].max())
        <= K / WIDTH
    )
    before, after = shares[0], max(shares[1:])
    return Trial(after, before, abs(before - 0.5) < 0.05 and after < before - 0.1 and exact)


CLAIM = Claim(
    paper="lazy-neuron",
    methods=("measure:activation-sparsity", "rewrite:top-k"),
    says="Half of the 96 ReLU units of a transformer's block (5 points) answer to a patch of a "
    "digit before training, and at least 10 points fewer after it, on true and on random labels; "
    "with 16 kept no more than 16 answer.",
    left="share of active units on new rows after training, the larger of both kinds of labels",
    right="the same before training",
    trial=trial,
    mutants=("counts-before-rectifying", "counts-zeros", "keeps-the-smallest"),
    seeds=(0, 1, 2),
    seconds=30,
    quick=False,
    known="does not hold",
    why="after 200 steps on digits half of the units still answer, in perceptrons of 512 and 1,024 "
    "units too; with 40 % wrong labels, keeping 32 of 512 units costs 1 to 4 points",
)
