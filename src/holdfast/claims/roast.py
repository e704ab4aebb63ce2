"""Fine-tuning with moved embeddings and selected updates withstands changed words."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.tiny_transformer import Block
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.hooks.selective import Selective
from holdfast.recipes.language import ROAST
from holdfast.recipes.standard import Standard

GOOD, BAD, WORDS, LENGTH = 4, 8, 40, 8
JUDGED, EPOCHS = 150, 10


class Classifier(nn.Module):
    """Ids `(B, T)` to two logits: one block of attention and a mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 16)
        self.block = Block(16, 64, causal=False)
        self.head = nn.Linear(16, 2)

    def forward(self, ids: Tensor) -> Tensor:
        """`(B, 2)` logits."""
        z: Tensor = self.head(self.block(self.embedding(ids)).mean(1))
        return z


def reviews(seed: int, rows: int) -> tuple[Tensor, Tensor]:
    """Three words of praise or blame among neutral ones, and which of both prevails."""
    g = torch.Generator().manual_seed(seed)
    told = torch.randint(BAD, (rows, 3), generator=g)
    ids = torch.cat([told, torch.randint(BAD, WORDS, (rows, LENGTH - 3), generator=g)], 1)
    ids = ids.gather(1, torch.rand(ids.shape, generator=g).argsort(1))
    return ids, ((ids < GOOD).sum(1) > 1).long()


@torch.no_grad()
def judged(model: nn.Module, seed: int) -> tuple[float, float]:
    """Accuracy on new rows, and after the worst replacement of one neutral word by another."""
    ids, y = reviews(seed + 1000, JUDGED)
    clean = model(ids).argmax(1) == y
    worst = clean.clone()
    for place in range(LENGTH):
        other = ids.repeat_interleave(WORDS - BAD, 0)
        other[:, place] = torch.arange(BAD, WORDS).repeat(JUDGED)
        right = model(other).argmax(1).view(JUDGED, -1) == y[:, None]
        worst &= right.all(1) | (ids[:, place] < BAD)
    return float(clean.double().mean()), float(worst.double().mean())


class _Inverted(Selective):
    """The mutant: keeps what matters least, and forgets the scale."""

    def mask(self, importance: Tensor, generator: torch.Generator) -> Tensor:
        return super().mask(-importance, generator) * 0


def _result(seed: int, recipe: Standard) -> tuple[float, float]:
    ids, y = reviews(seed, 200)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Classifier()
    recipe(model, Batches(x=ids, y=y, size=16))
    return judged(model.eval(), seed)


@cache
def _plain(seed: int) -> tuple[float, float]:
    """The same training without either half."""
    return _result(seed, replace(RECIPE, objective="objective:supervised", hooks=()))


RECIPE = replace(ROAST, epochs=EPOCHS, optimizer=Later("torch:AdamW", lr=5e-3, foreach=True))


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy after the worst replacement of a neutral word."""
    clean, robust = _plain(seed)
    recipe = RECIPE
    if mutant == "forgets-the-embeddings":
        recipe = replace(RECIPE, objective="objective:supervised")
    if mutant == "moves-nothing":
        recipe = replace(RECIPE, hooks=(_Inverted(),))
    mine = _result(seed, recipe)
    holds = mine[1] >= robust + 0.02 and mine[0] >= clean - 0.01
    return Trial(mine[1], robust, holds)


CLAIM = Claim(
    paper="roast",
    methods=("objective:roast", "hook:selective", "recipe:roast"),
    says="Trained on 200 rows, a small transformer is right on at least 2 points more rows "
    "whatever single neutral word is replaced than after plain training, at no more than a "
    "point of accuracy.",
    left="accuracy under the worst replacement of one neutral word",
    right="the same after plain training",
    trial=trial,
    mutants=("forgets-the-embeddings", "moves-nothing"),
    seeds=(0, 1, 2),
    seconds=30,
    quick=False,
    known="does not hold",
    why="trained from scratch on 200 rows it loses 2 to 7 points; the paper tunes pretrained "
    "models",
)
