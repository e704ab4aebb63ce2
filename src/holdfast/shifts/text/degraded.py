"""Edits of many places of a text at once: bad typing, bad scanning."""

from __future__ import annotations

import re
from random import Random

from holdfast.ops.spelling import typos
from holdfast.shifts.text.characters import twin
from holdfast.shifts.text.edit import WORD, Edit

SCANNED = (
    ("rn", "m"), ("m", "rn"), ("cl", "d"), ("li", "h"), ("vv", "w"), ("l", "1"), ("i", "l"),
    ("o", "0"), ("0", "O"), ("1", "l"), ("5", "S"), ("s", "5"), ("b", "6"), ("B", "8"),
    ("g", "9"), ("e", "c"), ("c", "e"), ("h", "b"), ("a", "o"), ("u", "v"), ("t", "f"),
    ("n", "u"), ("O", "0"), ("S", "5"), ("I", "l"), ("E", "F"), (" ", ""), (".", ","),
)  # fmt: skip


def misspelt(text: str, draw: Random, share: float = 0.1) -> str | None:
    """Misspells a share of the words, at least one; their number stays.

    Args:
        text: to be changed.
        draw: what is drawn.
        share: of the words of four letters or more.
    """
    places = [m for m in WORD.finditer(text) if len(m[0]) >= 4 and typos(m[0])]
    if not places:
        return None
    count = max(1, round(share * len(places)))
    for m in sorted(draw.sample(places, count), key=lambda m: -m.start()):
        wrong = twin(m[0], draw) or draw.choice(typos(m[0]))
        text = text[: m.start()] + wrong + text[m.end() :]
    return text


def scanned(text: str, draw: Random, share: float = 0.05, *, numbers: bool = True) -> str | None:
    """Confuses signs as a scanner does: l and 1, rn and m, lost spaces.

    Each place that can be confused is, with the chance that makes the expected number of
    confusions the stated share of all signs.

    Args:
        text: to be changed.
        draw: what is drawn.
        share: of the signs.
        numbers: whether words with digits may be confused too.
    """
    table: dict[str, list[str]] = {}
    for old, new in SCANNED:
        table.setdefault(old, []).append(new)
    pattern = re.compile("|".join(map(re.escape, sorted(table, key=len, reverse=True))))
    places = list(pattern.finditer(text))
    if not numbers:
        spared = {i for m in re.finditer(r"\S*\d\S*", text) for i in range(m.start(), m.end())}
        places = [m for m in places if not spared & set(range(m.start(), m.end()))]
    count = min(round(share * len(text)), len(places))
    if not count:
        return None
    for m in sorted(draw.sample(places, count), key=lambda m: -m.start()):
        text = text[: m.start()] + draw.choice(table[m[0]]) + text[m.end() :]
    return text


EDITS = (
    Edit("misspelt", "orthography", misspelt),
    Edit("scanned", "orthography", scanned),
)
