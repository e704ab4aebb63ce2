"""Sentences that hint at wrong options take most of the accuracy; as many fillers take none."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from holdfast.attacks.best_first import BestFirst
from holdfast.attacks.quiz import Quiz, Victim, hints
from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.run.search import search
from holdfast.testing.worlds.quizzes import made_up, overlapping, questions

ITEMS, DEPTH = 16, 3


class _Parent(Victim):
    """Mutant: the victim is asked about the question as it was, as in the released code."""

    def __call__(self, ids: Tensor) -> Tensor:
        only = ids.clone()
        only[:, torch.arange(ids.shape[1]) != ids.shape[1] // 2] = 0
        return super().__call__(only)


def _fillers(prompts: Sequence[str], samples: int, dice: Dice) -> list[list[str]]:
    """Sentences as long as the hints, of words that no question knows."""
    words = made_up(40, seed=99)
    plain = hints(prompts, samples, dice)
    return [[" ".join(f"{words[(i + j) % 40]}x" for j in range(len(s.split())))
             for s in row] for i, row in enumerate(plain)]  # fmt: skip


def _praise(prompts: Sequence[str], samples: int, dice: Dice) -> list[list[str]]:
    """Mutant: hints at the right answer."""
    right = [p.partition("Right answer: ")[2].partition("\n")[0] for p in prompts]
    return hints([f"Wrong option: {r}" for r in right], samples, dice)


def _sober(question: str, text: str) -> bool:
    """A judge by rule: the question is still there, and nothing around it denies anything."""
    before, asked, after = text.partition(question)
    return bool(asked) and not {"not", "no", "never"} & set(f"{before} {after}".split())


def _attacked(quiz: Quiz, seed: int, mutant: str) -> float:
    """How often the victim is right about what a search finds, when asked anew."""
    kind = _Parent if mutant == "asks-about-the-parent" else Victim
    x, threat = quiz.x(DEPTH), quiz.threat(_sober)
    victim = kind(quiz, overlapping, 5, seed)
    found = search(BestFirst(), victim, x, quiz.goal(), threat, dice=Dice.of(ITEMS, seed))
    fresh = quiz.victim(overlapping, samples=20, seed=seed + 1000)
    return 1 - float(fresh(threat.apply(x, found.change)).mean())


def trial(seed: int, mutant: str = "") -> Trial:
    """Symbolic victim and facts: accuracy when undisturbed, distracted, and padded."""
    asked, offered, answers = questions(ITEMS, seed=seed)
    writer = _praise if mutant == "hints-at-the-answer" else hints
    quiz = Quiz.of(asked, offered, answers, writer=writer, dice=Dice.of(3 * ITEMS, seed))
    plain = Quiz.of(asked, offered, answers, writer=_fillers, dice=Dice.of(3 * ITEMS, seed))
    clean = 1 - float(quiz.victim(overlapping, samples=20, seed=seed + 1000)(quiz.x(DEPTH)).mean())
    distracted, padded = (_attacked(q, seed, mutant) for q in (quiz, plain))
    left, right = clean - distracted, clean - padded
    return Trial(left, right, left >= 0.3 and right <= 0.05)


CLAIM = Claim(
    paper="contextual-distraction",
    methods=("attack:best-first", "threat:sentences"),
    says="a victim who counts common words loses at least 30 points to hints found by best-first "
    "search and at most 5 to fillers of equal length",
    left="accuracy lost to hints at wrong options, asked anew",
    right="accuracy lost to fillers found by the same search",
    trial=trial,
    mutants=("asks-about-the-parent", "hints-at-the-answer"),
    seconds=10,
    seeds=(401, 402, 403),
)
