"""Training on failures that an attack has found makes the next one dearer."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from holdfast.attacks.substitution import WordSubstitution
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.measures.outputs.attack_cost import attack_cost
from holdfast.recipes.rounds import FoundFailures
from holdfast.recipes.standard import Standard
from holdfast.threats.tokens import Substitutions

TOKENS, LENGTH, FIRST, SECOND = 16, 10, 1, 2
ROWS, JUDGED, TRIES = 80, 120, 60


class Reader(nn.Module):
    """Ids `(B, T)` to two logits: windows of three tokens, and the strongest of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, 12)
        self.windows, self.head = nn.Conv1d(12, 48, 3, padding=1), nn.Linear(48, 2)

    def forward(self, ids: Tensor) -> Tensor:
        """`(B, 2)` logits."""
        h = torch.relu(self.windows(self.embedding(ids).transpose(1, 2)))
        z: Tensor = self.head(h.amax(2))
        return z


def forbidden(ids: Tensor) -> Tensor:
    """`(B,)`: 1 where the first token is followed by the second one, at most one between them."""
    near = (ids[:, :-1] == FIRST) & (ids[:, 1:] == SECOND)
    far = (ids[:, :-2] == FIRST) & (ids[:, 2:] == SECOND)
    return (near.any(1) | far.any(1)).long()


def texts(seed: int, rows: int) -> tuple[Tensor, Tensor]:
    """Random texts; into half of them the forbidden event is written."""
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(TOKENS, (rows, LENGTH), generator=g)
    at = torch.randint(LENGTH - 2, (rows,), generator=g)
    gap = torch.randint(1, 3, (rows,), generator=g)
    half = torch.arange(rows) < rows // 2
    row = torch.arange(rows)[half]
    ids[row, at[half]], ids[row, (at + gap)[half]] = FIRST, SECOND
    return ids, forbidden(ids)


@torch.no_grad()
def judged(model: nn.Module, seed: int) -> tuple[float, float]:
    """Tries that one failure costs who replaces two tokens at random, and misses on new texts.

    Where nothing is found, all tries made stand for the cost, which is more.
    """
    ids, y = texts(seed + 500, 1200)
    missed = float((model(ids).argmax(1)[y == 1] == 0).double().mean())
    bad = ids[y == 1][:JUDGED]
    g = torch.Generator().manual_seed(seed)
    tries = bad[:, None].repeat(1, TRIES, 1)
    place = torch.rand(tries.shape, generator=g).argsort(2)[..., :2]
    tries.scatter_(2, place, torch.randint(TOKENS, place.shape, generator=g))
    flat = tries.flatten(0, 1)
    failed = ((model(flat).argmax(1) == 0) & (forbidden(flat) == 1)).view(JUDGED, TRIES)
    found = failed.any(1)
    costs = torch.where(found, failed.int().argmax(1) + 1, TRIES)
    return min(attack_cost(costs, found).per_failure, float(costs.sum())), missed


def _rounds(mutant: str) -> FoundFailures:
    train = Standard(epochs=12, optimizer=Later("torch:Adam", lr=5e-3, foreach=True))
    attack = WordSubstitution(order="every", together=16)
    threat = Substitutions(edits=2, vocabulary=TOKENS, blank=-1)
    oracle = (lambda x: 1 - forbidden(x)) if mutant == "labels-the-wrong-way" else forbidden
    edits = threat.scaled(0.0) if mutant == "finds-nothing" else threat
    return FoundFailures(recipe=train, attack=attack, threat=edits, oracle=oracle, rounds=3)


@cache
def _start(seed: int) -> tuple[float, float]:
    """After the first training alone, for as many epochs as all rounds together have."""
    ids, y = texts(seed, ROWS)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Reader()
    Standard(epochs=48, optimizer=Later("torch:Adam", lr=5e-3, foreach=True))(
        model, Batches(x=ids, y=y, size=40)
    )
    return judged(model, seed)


def trial(seed: int, mutant: str = "") -> Trial:
    """Tries that a failure costs after three rounds, and after training as long without them."""
    ids, y = texts(seed, ROWS)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Reader()
    _rounds(mutant)(model, Batches(x=ids, y=y, size=40))
    (after, missed), (before, lost) = judged(model, seed), _start(seed)
    return Trial(after, before, after > 1.5 * before and missed <= lost + 0.01)


CLAIM = Claim(
    paper="high-stakes-reliability",
    methods=("recipe:found-failures", "measure:attack-cost"),
    says="A reader trained in three rounds on the failures that greedy substitution finds, "
    "labelled by an exact oracle, makes a failure at least 1.5 times as dear for who replaces two "
    "tokens at random as training as long without them, and misses no more new texts (1 point).",
    left="tries per failure after three rounds",
    right="tries per failure after training as long on the first texts",
    trial=trial,
    mutants=("labels-the-wrong-way", "finds-nothing"),
    seeds=(0, 1, 2),
    seconds=20,
    quick=False,
)
