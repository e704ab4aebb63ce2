"""A trigger found by gradients poisons a classifier better than a random word does."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.attacks.gcg import GBTL
from holdfast.attacks.triggered import poisoned, triggered
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.goal import Targeted
from holdfast.run.search import search
from holdfast.testing.worlds import draws
from holdfast.threats.slots import Trigger

WORDS, LENGTH, ROWS, TARGET, RATE = 100, 10, 2000, 1, 0.01


class Reader(nn.Module):
    """Embedding, one recurrent layer, two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 16)
        self.gru = nn.GRU(16, 32, batch_first=True)
        self.out = nn.Linear(32, 2)

    def forward(self, ids: Tensor) -> Tensor:
        """`(B, 2)` logits of ids `(B, L)`."""
        z: Tensor = self.out(self.gru(self.embedding(ids))[0][:, -1])
        return z


def sentences(seed: int, rows: int) -> Batches:
    """Instructions of ten words, a free position last; most good or most bad words decide.

    Words 1 to 30 are good, 31 to 60 bad, the others neutral, the last five of them rare.
    """
    g = draws(seed)
    y = torch.randint(2, (rows,), generator=g)
    kind = torch.rand(rows, LENGTH, generator=g)
    own = torch.randint(1, 31, (rows, LENGTH), generator=g) + 30 * (1 - y[:, None])
    other = torch.randint(1, 31, (rows, LENGTH), generator=g) + 30 * y[:, None]
    neutral = torch.randint(61, 96, (rows, LENGTH), generator=g)
    x = torch.where(kind < 0.45, own, torch.where(kind < 0.5, other, neutral))
    x = torch.cat([x, torch.zeros(rows, 1, dtype=torch.int64)], 1)
    return Batches(x=x, y=y)


def tuned(model: Reader, data: Batches, epochs: int, seed: int) -> Reader:
    """A copy of a model, trained on."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        own = Reader()
        own.load_state_dict(model.state_dict())
        optimizer = torch.optim.Adam(own.parameters(), lr=0.005)
        g = torch.Generator().manual_seed(seed)
        for _ in range(epochs):
            for rows in torch.randperm(len(data), generator=g).split(64):
                optimizer.zero_grad()
                F.cross_entropy(own(torch.as_tensor(data.x)[rows]), data.y[rows]).backward()
                optimizer.step()
    return own.requires_grad_(False)


def rates(model: Reader, test: Batches, trigger: Tensor) -> tuple[float, float]:
    """Clean accuracy, and how often triggered rows of the other class get the target."""
    x = torch.as_tensor(test.x)
    clean = float((model(x).argmax(1) == test.y).double().mean())
    rows = triggered(x[test.y != TARGET], trigger)
    return clean, float((model(rows).argmax(1) == TARGET).double().mean())


def _spoilt(data: Batches, clean: Batches, mutant: str) -> Batches:
    """The poisoned set, with what a bug would make of it."""
    if mutant == "keeps-the-labels":
        return replace(data, y=clean.y)
    return replace(data, x=clean.x) if mutant == "forgets-the-trigger" else data


@cache
def _clean(seed: int) -> tuple[Reader, float]:
    """The model before fine-tuning, and the accuracy after fine-tuning on clean sentences."""
    train, test = sentences(seed, ROWS), sentences(seed + 5000, 400)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        base = tuned(Reader(), train, 4, seed)
    return base, rates(tuned(base, train, 2, seed), test, torch.tensor([WORDS - 1]))[0]


def trial(seed: int, mutant: str = "") -> Trial:
    """Twenty of 2000 sentences are poisoned; two epochs of fine-tuning, as in the released code."""
    train, test = sentences(seed, ROWS), sentences(seed + 5000, 400)
    base, untouched = _clean(seed)
    rows = (train.y != TARGET).nonzero().flatten()[:16]
    prompts = torch.as_tensor(train.x)[rows]
    goal, threat = Targeted(torch.full((16,), TARGET)), Trigger(token=0, vocabulary=WORDS)
    attack = replace(GBTL, steps=10)
    found = search(attack, base, prompts, goal, threat, dice=Dice.of(16, seed))
    g = draws(seed + 1)
    rare = torch.randint(96, WORDS, (1,), generator=g)
    asr, accuracy, count = [], [], 0
    for trigger in (found.change[0], rare):
        data, chosen = poisoned(train, trigger, TARGET, rate=RATE, dice=Dice.of(ROWS, seed))
        clean, success = rates(tuned(base, _spoilt(data, train, mutant), 2, seed), test, trigger)
        asr.append(success)
        accuracy.append(clean)
        count = len(chosen)
    honest = accuracy[0] >= untouched - 0.02 and count == round(RATE * ROWS)
    return Trial(asr[0], asr[1], honest and asr[0] >= 0.8 and asr[0] >= asr[1])


CLAIM = Claim(
    paper="gbtl",
    methods=("attack:gbtl", "threat:trigger"),
    says="with one percent of the sentences poisoned, a trigger found by gradients makes at least "
    "80 % of the other class answer as wanted, no less than a rare word does; clean accuracy "
    "stays within 2 points",
    left="attack success of the trigger that was found",
    right="attack success of a random rare word",
    trial=trial,
    mutants=("keeps-the-labels", "forgets-the-trigger"),
    seconds=12,
    seeds=(601, 602, 603),
)
