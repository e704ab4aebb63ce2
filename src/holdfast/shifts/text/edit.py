"""One edit of a text, and how it is applied to many."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.dice import Dice

Change = Callable[[str, Random], str | None]
Effect = Literal["same", "flips"]
WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")


@dataclass(frozen=True)
class Edit:
    """A small change of a text that touches one phenomenon.

    Args:
        name: unique among all edits.
        group: which part of language it touches.
        change: (text, source of draws) -> the changed text, or None where it does not apply.
        effect: whether the right answer stays the `same` or `flips`.
    """

    name: str
    group: str
    change: Change
    effect: Effect = "same"

    @property
    def says(self) -> str:
        """What it does, in one sentence."""
        inner = self.change.func if isinstance(self.change, partial) else self.change
        return (inner.__doc__ or "").partition("\n")[0]


@dataclass(frozen=True, eq=False)
class Edited:
    """Texts after an edit.

    Args:
        texts: in their order; where the edit does not apply, the text itself.
        changed: `(B,)` bool, where it does. A text that stays says nothing about robustness.
    """

    texts: list[str]
    changed: Tensor


def edited(texts: Sequence[str], edit: Edit, dice: Dice) -> Edited:
    """Each text after the edit; draws belong to rows, so chunks and order do not matter.

    Args:
        texts: to be changed.
        edit: what is done to each.
        dice: one row per text.
    """
    seeds = dice.integers(1 << 31).tolist() if len(texts) else []
    found = [edit.change(t, Random(s)) for t, s in zip(texts, seeds, strict=True)]
    new = [t if f is None else f for t, f in zip(texts, found, strict=True)]
    changed = [a != b for a, b in zip(texts, new, strict=True)]
    return Edited(new, torch.tensor(changed, dtype=torch.bool))


def at_word(text: str, draw: Random, change: Change, *, least: int = 1) -> str | None:
    """The text with one word changed, drawn among those to which the change applies.

    Args:
        text: with its words.
        draw: what is drawn.
        change: of a word.
        least: letters that the word must have.
    """
    places = [m for m in WORD.finditer(text) if len(m[0]) >= least]
    draw.shuffle(places)
    for place in places:
        new = change(place[0], draw)
        if new is not None and new != place[0]:
            return text[: place.start()] + new + text[place.end() :]
    return None


def like_case(word: str, model: str) -> str:
    """A word in the case of another: capitals, a capital first, or as it is."""
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if model[:1].isupper() else word
