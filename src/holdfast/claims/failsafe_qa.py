"""Between answering everything and refusing everything, a bot with a threshold does best."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from unittest.mock import patch

from holdfast.checks.language import failsafe as room
from holdfast.checks.language.asking import writes
from holdfast.checks.language.failsafe import ANSWERABLE, FailSafeQA
from holdfast.checks.language.filings import FIELDS, LAY, Item, parsed
from holdfast.claims.harness import Claim, Trial
from holdfast.core.records import Subject

ITEMS = 30
REFUSAL = "I cannot answer that."


@cache
def _pairs(text: str) -> frozenset[str]:
    """Neighbouring letters of a text."""
    return frozenset(text[i : i + 2] for i in range(len(text) - 1))


@cache
def _like(text: str, name: str) -> float:
    """Likeness of a name and the part of a text that is most like it: shared pairs of letters."""
    words, k, own = text.lower().split(), len(name.split()), _pairs(name.lower())
    parts = [_pairs(" ".join(words[i : i + k])) for i in range(max(len(words) - k + 1, 1))]
    return max(2 * len(own & p) / max(len(own) + len(p), 1) for p in parts)


def _bot(least: float, *, exact: bool = False) -> Callable[[str], str]:
    """Finds the field that the question names, and the number behind the part that names it.

    Args:
        least: certainty below which it refuses; at 0 it always answers something.
        exact: a question must hold the very name of a field.
    """

    def answer(prompt: str) -> str:
        question, context = parsed(prompt)
        if exact and not any(f in question for f in FIELDS):
            return REFUSAL
        sure, field = max((max(_like(question, f), _like(question, LAY[f])), f) for f in FIELDS)
        parts = re.split(r"(\d+\.\d+)", context)
        ranked = [(_like(a, field), b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        found, value = max(ranked, default=(0.0, "12.5"))
        firm = context.split()[3:5]
        known = sum(_like(question, w) for w in firm) / 2 if firm else 0.0
        certain = min(sure, found) * (1.0 if known > 0.6 else 0.4)
        return f"It was {value} million." if certain >= least else REFUSAL

    return answer


def _asked(bot: Callable[[str], str], seed: int) -> dict[str, float]:
    (found,) = FailSafeQA(limit=ITEMS)(Subject(writer=writes(bot), seed=seed))
    return {r.name.split(".")[1]: r.value for r in found.readings}


def _grades_everything(item: Item, text: str, answerable: bool) -> float:
    """Mutant: the judge looks for a number where there is none to be known, too."""
    return 6.0 if bool(re.search(r"\d", text)) else 1.0


def trial(seed: int, mutant: str = "") -> Trial:
    """Bots that always answer, never do, or do when they are certain; exact and fuzzy ones."""
    judge = _grades_everything if mutant == "any-number-will-do" else room.rule
    many = ("plain",) if mutant == "only-the-plain-question" else ANSWERABLE
    with patch.object(room, "rule", judge), patch.object(room, "ANSWERABLE", many):
        always, never = _asked(_bot(0.0), seed), _asked(lambda p: REFUSAL, seed)
        middle = max((_asked(_bot(t), seed) for t in (0.5, 0.65)), key=lambda r: r["compliance"])
        late = _asked(_bot(1.01), seed)
        exact = _asked(_bot(0.5, exact=True), seed)
    ends = always["grounded"] == never["robust"] == 0 and never["grounded"] == 1
    ends &= always["robust"] > 0.8 and always["compliance"] == never["compliance"] == 0
    typing = (
        exact["robust"] < exact["answered"] - 0.3 and middle["robust"] > middle["answered"] - 0.4
    )
    left = middle["compliance"]
    right = max(always["compliance"], late["compliance"], exact["compliance"])
    return Trial(left, right, left > right + 0.2 and ends and typing)


CLAIM = Claim(
    paper="failsafe-qa",
    methods=("measure:failsafe", "check:failsafe-qa"),
    says="On made-up annual reports a bot that always answers has no grounding, one that never "
    "does no robustness, and both score 0; a fuzzy reader with a threshold in between scores "
    "highest and stays within 40 points under failing questions, which take more than 30 points "
    "of a reader of exact names.",
    left="compliance score of the fuzzy reader at its best threshold",
    right="highest score of always answering, never answering, and exact names",
    trial=trial,
    mutants=("any-number-will-do", "only-the-plain-question"),
    seconds=5,
)
