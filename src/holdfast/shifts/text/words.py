"""Edits of whole words: deletion, order, synonyms, negation, style, dialect, bias."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from random import Random

from holdfast.ops.english import (
    AUXILIARIES,
    CASUAL,
    COMPOUNDS,
    DERIVED,
    HYPERNYMS,
    OLDEN,
    OPPOSITES,
    PLACES,
    SHORT,
    STOP_WORDS,
    SYNONYMS,
)
from holdfast.shifts.text.edit import WORD, Edit, at_word, like_case

_NOT = re.compile(r"\b(not|never|no)\s+|n't\b", re.IGNORECASE)
_AUXILIARY = re.compile(rf"\b({'|'.join(AUXILIARIES)})\b(?!\s+not\b|n't)", re.IGNORECASE)
_LONG = {short.lower(): long for long, short in SHORT.items()}


def delete_word(text: str, draw: Random) -> str | None:
    """Leaves out one word."""
    words = text.split()
    if len(words) < 2:
        return None
    del words[draw.randrange(len(words))]
    return " ".join(words)


def repeat_word(text: str, draw: Random) -> str | None:
    """Says one word twice."""
    words = text.split()
    if not words:
        return None
    at = draw.randrange(len(words))
    return " ".join([*words[: at + 1], *words[at:]])


def swap_words(text: str, draw: Random) -> str | None:
    """Exchanges two words."""
    words = text.split()
    pairs = [(i, j) for i in range(len(words)) for j in range(i) if words[i] != words[j]]
    if not pairs:
        return None
    i, j = draw.choice(pairs)
    words[i], words[j] = words[j], words[i]
    return " ".join(words)


def shuffle_words(text: str, draw: Random) -> str | None:
    """Puts the words in another order."""
    words = text.split()
    if len(set(words)) < 2:
        return None
    new = list(words)
    while new == words:
        draw.shuffle(new)
    return " ".join(new)


def by_table(table: Mapping[str, str | Sequence[str]], text: str, draw: Random) -> str | None:
    """Replaces one word by another of a list, in its case."""

    def other(word: str, draw: Random) -> str | None:
        found = table.get(word.lower())
        if found is None:
            return None
        return like_case(found if isinstance(found, str) else draw.choice(found), word)

    return at_word(text, draw, other)


def phrases(table: Mapping[str, str], text: str, draw: Random) -> str | None:
    """Replaces every phrase of a list by its counterpart, in its case."""
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, table))})\b", re.IGNORECASE)
    new = pattern.sub(lambda m: like_case(table[m[0].lower()], m[0]), text)
    return None if new == text else new


def synonym(text: str, draw: Random) -> str | None:
    """Replaces one word by a synonym."""
    return by_table(SYNONYMS, text, draw)


def concept(text: str, draw: Random) -> str | None:
    """Replaces one word by a synonym, or by what it is a kind of."""
    return by_table(SYNONYMS, text, draw) or by_table(HYPERNYMS, text, draw)


def contraction(text: str, draw: Random) -> str | None:
    """Contracts what can be contracted, or else spells contractions out."""
    return phrases(SHORT, text, draw) or phrases(_LONG, text, draw)


def negation(text: str, draw: Random) -> str | None:
    """Negates the sentence, or takes its first negation away; the meaning turns round.

    Behind the first auxiliary comes a `not`; without one the first word that has an opposite is
    replaced by it. "n't" goes with the word it hangs on (won't and can't are put right).
    """
    if (found := _NOT.search(text)) is not None:
        bare = text[: found.start()] + text[found.end() :]
        return re.sub(r"\bwo(?= |$)", "will", re.sub(r"\bca(?= |$)", "can", bare))
    if (found := _AUXILIARY.search(text)) is not None:
        return text[: found.end()] + " not" + text[found.end() :]
    table = {**{b: a for a, b in OPPOSITES.items()}, **OPPOSITES}
    return by_table(table, text, draw)


def double_negation(text: str, draw: Random) -> str | None:
    """Says something by denying its opposite: good becomes not bad."""
    if _NOT.search(text) is not None:
        return None
    return by_table({a: f"not {b}" for a, b in OPPOSITES.items()}, text, draw)


def keywords(text: str, draw: Random, *, least: int = 2) -> str | None:
    """Keeps content words only, in small letters, as people type into a search box.

    Args:
        text: to be changed.
        draw: not used.
        least: content words that must be left.
    """
    # Years, sums and names with digits are what such a query is about.
    found = [w.strip(".,;:!?\"'()").lower() for w in text.split()]
    kept = [w for w in found if w and w not in STOP_WORDS]
    return " ".join(kept) if len(kept) >= least else None


def glossary(table: Mapping[str, str], text: str, draw: Random) -> str | None:
    """Replaces terms of a trade by what a lay person calls them."""
    return phrases({term.lower(): plain for term, plain in table.items()}, text, draw)


def without_words(share: float, text: str, draw: Random) -> str | None:
    """Leaves out a share of the words, at least one."""
    places = list(WORD.finditer(text))
    if len(places) < 2:
        return None
    count = max(1, round(share * len(places)))
    for m in sorted(draw.sample(places, count), key=lambda m: -m.start()):
        text = text[: m.start()] + text[m.end() :]
    return re.sub(r"\s+", " ", text).strip()


EDITS = (
    Edit("derivation", "morphology", partial(by_table, DERIVED)),
    Edit("compound", "morphology", partial(by_table, COMPOUNDS)),
    Edit("concept", "semantics", concept),
    Edit("negation", "semantics", negation, "flips"),
    Edit("double-negation", "semantics", double_negation),
    Edit("style", "varieties", partial(phrases, CASUAL)),
    Edit("temporal", "bias", partial(phrases, OLDEN)),
    Edit("geographical", "bias", partial(phrases, PLACES)),
    Edit("synonym", "words", synonym),
    Edit("contraction", "words", contraction),
    Edit("word-deleted", "words", delete_word),
    Edit("word-repeated", "words", repeat_word),
    Edit("words-swapped", "words", swap_words),
    Edit("words-shuffled", "words", shuffle_words),
    Edit("tenth-deleted", "words", partial(without_words, 0.1)),
    Edit("keywords", "words", keywords),
)
