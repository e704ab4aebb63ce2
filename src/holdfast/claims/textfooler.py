"""Words replaced in the order of their importance: as few as must be, and far fewer than all."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.attacks.edited import Edited
from holdfast.attacks.substitution import WordSubstitution
from holdfast.claims.harness import Claim, Trial
from holdfast.core.goal import Untargeted
from holdfast.run.search import search
from holdfast.testing.worlds import Tokens, draws
from holdfast.threats.tokens import Substitutions

ROWS, LENGTH, WORDS, NEAR = 120, 20, 200, 4


class _LastFirst(WordSubstitution):
    """Mutant: the words that matter least come first."""

    def _try(self, active: Edited, turn: int, ranked: bool) -> None:
        super()._try(active, active.own["rank"].shape[1] - 1 - turn, ranked)


class _FirstChoice(WordSubstitution):
    """Mutant: only the nearest neighbour is tried."""

    def _sorted(self, active: Edited, place: Tensor, listed: Tensor) -> Tensor:
        return listed[:, :1]


MUTANTS = {"": WordSubstitution, "ranks-upside-down": _LastFirst, "tries-one": _FirstChoice}


def trial(seed: int, mutant: str = "") -> Trial:
    """A bag of words of two classes, four neighbours per word; the fewest edits are known."""
    world = Tokens.make(rows=ROWS, length=LENGTH, vocabulary=WORDS, classes=2, seed=seed)
    table = torch.randint(1, WORDS, (WORDS, NEAR), generator=draws(seed + 1))
    table[0] = 0
    choices = Substitutions(table=table).choices(world.x)
    fewest = torch.full((ROWS,), LENGTH + 1)
    for most in range(LENGTH, 0, -1):
        fewest[world.worst(most, choices) >= 0] = most
    rows = (fewest <= LENGTH).nonzero().flatten()
    goal, x = Untargeted(world.y[rows]), world.x[rows]
    threat = Substitutions(edits=LENGTH, table=table)
    found = search(MUTANTS[mutant](), world.model, x, goal, threat)
    edits = (found.change != x).sum(1)
    left = float((found.broken & (edits <= fewest[rows] + 1)).double().mean())
    few = float((search(WordSubstitution(), world.model, x, goal, Substitutions(
        edits=LENGTH // 5, table=table)).broken).double().mean())  # fmt: skip
    return Trial(left, few, left >= 0.95 and few >= 0.8)


CLAIM = Claim(
    paper="textfooler",
    methods=("attack:word-substitution", "threat:substitutions"),
    says="on bags of words whose fewest edits are known, at least 95 % of the sentences fall to "
    "at most one edit more than that, and at least 80 % with a fifth of the words replaced",
    left="share of the sentences that can be broken, broken with at most one edit too many",
    right="share that falls when a fifth of the words may be replaced",
    trial=trial,
    mutants=("ranks-upside-down", "tries-one"),
    seconds=6,
    seeds=(201, 202, 203),
)
