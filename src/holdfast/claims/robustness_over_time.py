"""A later version is better on clean prompts only; adversarial slots cost most together."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.attacks.substitution import WordSubstitution
from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.measures.outputs.over_time import OverTime, over_time
from holdfast.run.search import search
from holdfast.testing.worlds import draws
from holdfast.testing.worlds.quizzes import made_up
from holdfast.threats.misspelling import misspellings
from holdfast.threats.tokens import Substitutions
from holdfast.threats.words import Words

ITEMS, FEATURES = 80, 512
GOOD, BAD = made_up(12, 7), made_up(24, 7)[12:]
NEUTRAL = made_up(64, 7)[24:]
TASK = "sort this review by its tone as good or bad now"


@cache
def _bag(word: str) -> tuple[int, ...]:
    """Numbers of the letter triples of a word."""
    padded = f" {word} "
    return tuple(zlib.crc32(padded[j : j + 3].encode()) % FEATURES for j in range(len(word)))


class Reader(nn.Module):
    """A bag of letter triples and one hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(FEATURES, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, texts: Sequence[str]) -> Tensor:
        """`(B, 2)` logits of texts."""
        places = [i * FEATURES + k for i, t in enumerate(texts) for w in t.split() for k in _bag(w)]
        bag = torch.bincount(torch.tensor(places), minlength=len(texts) * FEATURES)
        bag = bag.view(len(texts), FEATURES).float()
        z: Tensor = self.net(bag / 4)
        return z


def reviews(seed: int, count: int, known: int) -> tuple[list[str], Tensor]:
    """Reviews of six words; of the words that tell, only the first `known` are used."""
    g = draws(seed)
    y, texts = torch.randint(2, (count,), generator=g), []
    for label in y.tolist():
        own, other = (GOOD, BAD) if label else (BAD, GOOD)
        chosen = [own[int(k)] for k in torch.randint(known, (2,), generator=g)]
        chosen += [other[int(torch.randint(known, (1,), generator=g))]]
        chosen += [NEUTRAL[int(k)] for k in torch.randint(len(NEUTRAL), (3,), generator=g)]
        texts.append(" ".join(chosen[int(k)] for k in torch.randperm(6, generator=g)))
    return texts, y


def versions(seed: int) -> dict[str, Reader]:
    """A model trained on reviews, and the same one trained longer on reviews of more words."""
    found: dict[str, Reader] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Reader()
        for name, known, steps in (("v1", 8, 60), ("v2", 12, 90)):
            texts, y = reviews(seed + known, 300, known)
            texts = [f"{TASK} {t}" for t in texts]
            optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
            for step in range(steps // 5):
                some = slice(60 * (step % 5), 60 * (step % 5) + 60)
                optimizer.zero_grad()
                F.cross_entropy(model(texts[some]), y[some]).backward()
                optimizer.step()
            found[name] = Reader()
            found[name].load_state_dict(model.state_dict())
            found[name].requires_grad_(False)
    return found


def suite(seed: int) -> tuple[dict[str, dict[str, Tensor]], Tensor]:
    """Answers of both versions to the four combinations of two slots.

    The adversarial description has six words misspelt, and is the worst of sixteen for the first
    version; adversarial questions have one word
    misspelt so that the first version fails, and go to both versions.
    """
    texts, y = reviews(seed + 99, ITEMS, 12)
    models = versions(seed)
    words = Words.of([*texts, TASK], misspellings())
    edits = Substitutions(edits=6, table=words.table)
    x, tasks = words.ids(texts), words.ids([TASK] * 16)
    tried = words.texts(edits.sample(tasks, Dice.of(16, seed)))
    right = [int((models["v1"]([f"{d} {q}" for q in texts]).argmax(1) == y).sum()) for d in tried]
    task = tried[right.index(min(right))]

    def asked(questions: list[str]) -> Tensor:
        z: Tensor = models["v1"]([f"{TASK} {q}" for q in questions])
        return z

    attack, threat = WordSubstitution(most=40, together=40), Substitutions(table=words.table)
    found = search(attack, words.reads(asked), x, Untargeted(y), threat)
    wrong = words.texts(found.change)
    slots = {
        "clean": (TASK, texts),
        "D'": (task, texts),
        "Q'": (TASK, wrong),
        "D'Q'": (task, wrong),
    }
    answers = {
        v: {n: m([f"{d} {q}" for q in qs]).argmax(1) for n, (d, qs) in slots.items()}
        for v, m in models.items()
    }
    return answers, y


def trial(seed: int, mutant: str = "") -> Trial:
    """Three pairs of versions: what adversarial slots cost together, and each alone."""
    parts = [_pair(10 * seed + k, mutant) for k in range(3)]
    synergy, worst = (sum(p[k] for p in parts) / 3 for k in (0, 1))
    return Trial(synergy, worst, all(p[2] for p in parts) and synergy >= 0)


def _pair(seed: int, mutant: str) -> tuple[float, float, bool]:
    """Mean synergy of two versions, the largest drop of one slot, and whether counts are exact."""
    answers, y = suite(seed)
    if mutant == "asks-the-clean-question":
        answers = {v: c | {"D'Q'": c["D'"]} for v, c in answers.items()}
    seen = over_time(answers, y)
    if mutant == "counts-rows-wrong-before":
        lost = {v: {n: r & c["clean"] for n, r in c.items()} for v, c in seen.right.items()}
        seen = replace(seen, right={v: c | {"clean": ~c["clean"]} for v, c in lost.items()})
    synergy = sum(seen.synergy(v, "D'Q'", "D'", "Q'") for v in ("v1", "v2")) / 2
    worst = max(seen.drop(v, n) for v in ("v1", "v2") for n in ("D'", "Q'"))
    exact = all(seen.drop(v, "clean") == 0 for v in answers) and _same(seen, answers, y)
    return synergy, worst, exact


def _same(seen: OverTime, answers: dict[str, dict[str, Tensor]], y: Tensor) -> bool:
    """Whether identical versions have no differences, and rates agree with plain counting."""
    twins = over_time({"a": answers["v1"], "b": answers["v1"]}, y)
    still = all(twins.change("a", "b", n).value == 0 for n in answers["v1"])
    clean, both = (answers["v1"][n] == y for n in ("clean", "D'Q'"))
    lost = float((clean & ~both).sum()) / float(clean.sum())
    return still and abs(seen.success("v1", "D'Q'") - lost) < 1e-9


CLAIM = Claim(
    paper="robustness-over-time",
    methods=("measure:over-time",),
    says="adversarial description and question together cost two versions of a small text "
    "classifier at least as much as the worse of them alone, on average over three pairs; clean "
    "prompts cost exactly nothing and identical versions differ by exactly nothing",
    left="performance drop of both slots beyond the worse one, mean of six versions",
    right="largest drop of a single slot",
    trial=trial,
    mutants=("asks-the-clean-question", "counts-rows-wrong-before"),
    seconds=10,
    known="does not hold",
    why="questions are attacked behind the clean description; a misspelt one moves some of them "
    "back, so that both together cost up to four points less than the questions alone",
    seeds=(701, 702, 703),
)
