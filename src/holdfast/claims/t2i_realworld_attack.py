"""Chosen human errors in a prompt move what a generator draws farther than random ones."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.attacks.goals import Moves
from holdfast.attacks.substitution import WordSubstitution
from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.ops.two_samples import mmd2
from holdfast.run.search import search
from holdfast.testing.worlds import draws
from holdfast.testing.worlds.drawings import Drawings
from holdfast.threats.misspelling import KINDS, misspellings
from holdfast.threats.tokens import Substitutions
from holdfast.threats.words import Words

PROMPTS, EDITS, FAR = 20, 2, 1e3
NOUNS = ("cathedral", "elephant", "mountain", "teacher", "bicycle", "kitchen", "phantom", "island")
PLACES = ("garden", "harbour", "library", "meadow", "village", "theatre", "station", "forest")
STYLES = ("watercolour", "photograph", "sketch", "painting", "engraving", "cartoon")


def _nearness(a: Tensor, b: Tensor) -> Tensor:
    """Mutant: what stays the same counts as far."""
    return -mmd2(a, b)


class _Greedy(Substitutions):
    """Mutant: the budget is not kept."""

    def limits(self, x: Tensor) -> tuple[float, float]:
        return 9.0, 9.0


def _prompts(seed: int) -> list[str]:
    """Prompts in plain English."""
    g = draws(seed)

    def one(words: tuple[str, ...]) -> str:
        return words[int(torch.randint(len(words), (1,), generator=g))]

    return [f"a {one(STYLES)} of a {one(NOUNS)} in the {one(PLACES)}" for _ in range(PROMPTS)]


def trial(seed: int, mutant: str = "") -> Trial:
    """A toy generator whose mean depends on letter triples; two words may be misspelt."""
    texts, made = _prompts(seed), Drawings(seed=seed)
    words = Words.of(texts, misspellings(letters=5))
    x, model = words.ids(texts), words.reads(made)
    goal = Moves(made(texts), FAR, _nearness if mutant == "prefers-what-stays" else mmd2)
    kind = _Greedy if mutant == "forgets-the-budget" else Substitutions
    threat = kind(edits=EDITS, table=words.table)
    attack = WordSubstitution(most=200, together=40)
    found = search(attack, model, x, goal, threat, dice=Dice.of(PROMPTS, seed))
    changed = words.texts(found.change)
    honest = all(_human(a, b) for a, b in zip(texts, changed, strict=True))
    random = Substitutions(edits=EDITS, table=words.table).sample(x, Dice.of(PROMPTS, seed))
    moved, before = (mmd2(made(texts), made(t)) for t in (changed, words.texts(random)))
    wins = float((moved > before).sum())
    return Trial(wins, 15.0, honest and wins >= 15)


def _human(text: str, changed: str) -> bool:
    """At most two words differ, each by one human error."""
    pairs = [(a, b) for a, b in zip(text.split(), changed.split(), strict=True) if a != b]
    near = all(any(b in kind(a) for kind in KINDS.values()) for a, b in pairs)
    return near and len(pairs) <= EDITS


CLAIM = Claim(
    paper="t2i-realworld-attack",
    methods=("attack:word-substitution", "threat:substitutions"),
    says="of 20 prompts to a toy generator, at least 15 are moved farther (MMD) by two chosen "
    "human errors than by two random ones; every edit is one typo, look-alike or sound-alike",
    left="prompts moved farther by chosen errors",
    right="prompts that have to be",
    trial=trial,
    mutants=("prefers-what-stays", "forgets-the-budget"),
    seconds=10,
    seeds=(501, 502, 503),
)
