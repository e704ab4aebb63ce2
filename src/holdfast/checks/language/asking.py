"""Writers asked: any `generate(prompt) -> text` as one, and what a text says."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError
from holdfast.core.kinds import Writer

_REFUSES = re.compile(
    r"\b(i (can ?not|can't|could not|do not|don't|won't|will not|am unable|'m unable|am not able)"
    r"|i'm (sorry|afraid|unable|not able)|sorry|unable to|not (provided|available|mentioned|stated"
    r"|in the (text|context|document))|no (information|context|document)|cannot (answer|be|help)"
    r"|do(es)? not (say|contain|mention|state)|please (provide|upload|attach)|i refuse)\b",
    re.IGNORECASE,
)


def writes(generate: Callable[[str], str]) -> Writer:
    """A function from a prompt to a text as a writer; several samples are several calls."""

    def written(prompts: Sequence[str], samples: int, dice: Dice) -> list[list[str]]:
        return [[str(generate(p)) for _ in range(samples)] for p in prompts]

    return written


def said(
    writer: Writer, prompts: Sequence[str], dice: Dice, *, samples: int = 1
) -> list[list[str]]:
    """What a writer answers, checked to be as many texts as were asked for.

    Raises:
        ShapeError: if it hands back another number of texts.
    """
    found = writer(prompts, samples, dice)
    if len(found) != len(prompts) or any(len(texts) != samples for texts in found):
        raise ShapeError(
            f"a writer must give {samples} texts for each of {len(prompts)} prompts",
            fix="Wrap a plain function with holdfast.checks.language.asking.writes.",
        )
    return found


def refuses(text: str) -> bool:
    """Whether a text declines to answer, by its words; an empty one does."""
    return not text.strip() or _REFUSES.search(text.replace("\u2019", "'")) is not None
