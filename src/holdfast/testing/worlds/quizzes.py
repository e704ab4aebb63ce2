"""Multiple-choice questions of made-up words, and a victim who counts common words."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from holdfast.core.dice import Dice
from holdfast.testing.worlds.linear import draws

_PARTS = ("ba", "do", "ki", "lu", "me", "no", "ra", "si", "tu", "ve")


def made_up(count: int, seed: int = 0) -> list[str]:
    """Different words of three syllables."""
    order = torch.randperm(1000, generator=draws(seed))[:count].tolist()
    return [_PARTS[i // 100] + _PARTS[i // 10 % 10] + _PARTS[i % 10] for i in order]


def questions(
    count: int, choices: int = 4, seed: int = 0
) -> tuple[list[str], list[list[str]], list[int]]:
    """Questions that hold five words of the right choice and none of the others."""
    asked, offered, answers = [], [], []
    g = draws(seed + 1)
    for q in range(count):
        words = made_up(3 * choices + 4, seed + 100 * q)
        options = [" ".join(words[3 * c : 3 * c + 3]) for c in range(choices)]
        answer = int(torch.randint(choices, (1,), generator=g))
        known = options[answer]
        again, when = " ".join(known.split()[:2]), " ".join(words[-4:])
        asked.append(f"which of these belongs to {known} or {again} when {when} come")
        offered.append(options)
        answers.append(answer)
    return asked, offered, answers


def overlapping(prompts: Sequence[str], samples: int, dice: Dice) -> list[list[str]]:
    """A victim who prefers the choice that shares most words with the text, softly.

    The odds of a choice double twice with every word that it shares.
    """
    draw = dice.uniform((samples,), dtype=torch.float64)
    said = []
    for prompt, own in zip(prompts, draw, strict=True):
        text, *lines = prompt.split("\n")
        words = [word.strip(".") for word in text.split()]
        shared = [sum(words.count(w) for w in line.split()[1:]) for line in lines]
        edges = (1.4 * torch.tensor(shared, dtype=torch.float64)).softmax(0).cumsum(0)
        which = torch.searchsorted(edges, own).clamp(max=len(lines) - 1)
        said.append([lines[int(k)].partition(".")[0] for k in which])
    return said
