"""Edits of letters and signs: spelling, case, punctuation, keyboards and scanners."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from holdfast.ops.english import TWINS
from holdfast.ops.spelling import beside, phonetic, typos
from holdfast.shifts.text.edit import Edit, at_word

LETTERS = "abcdefghijklmnopqrstuvwxyz"
CYRILLIC = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")


def insert(word: str, draw: Random) -> str | None:
    """Adds one letter inside or behind a word."""
    at = draw.randrange(1, len(word) + 1)
    return word[:at] + draw.choice(LETTERS) + word[at:]


def omit(word: str, draw: Random) -> str | None:
    """Leaves out one letter, not the first."""
    at = draw.randrange(1, len(word))
    return word[:at] + word[at + 1 :]


def swap(word: str, draw: Random) -> str | None:
    """Swaps two neighbouring letters that differ, not the first."""
    places = [i for i in range(1, len(word) - 1) if word[i] != word[i + 1]]
    if not places:
        return None
    at = draw.choice(places)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def replace_letter(word: str, draw: Random) -> str | None:
    """Replaces one letter by another, not the first."""
    at = draw.randrange(1, len(word))
    return word[:at] + draw.choice(LETTERS.replace(word[at].lower(), "")) + word[at + 1 :]


def neighbour(word: str, draw: Random) -> str | None:
    """Replaces one letter by that of a neighbouring key, not the first."""
    places = [i for i in range(1, len(word)) if beside(word[i].lower())]
    if not places:
        return None
    at = draw.choice(places)
    return word[:at] + draw.choice(beside(word[at].lower())) + word[at + 1 :]


def slip(word: str, draw: Random) -> str | None:
    """One slip of the finger in a word."""
    found = typos(word)
    return draw.choice(found) if found else None


def by_ear(word: str, draw: Random) -> str | None:
    """Respells a word so that it sounds alike."""
    found = phonetic(word)
    return draw.choice(found) if found else None


def spelling(word: str, draw: Random) -> str | None:
    """Adds, leaves out or swaps one letter of one word."""
    return draw.choice((insert, omit, swap))(word, draw)


def twin(word: str, draw: Random) -> str | None:
    """Replaces a word by a real one that is written nearly alike (their, there)."""
    found = TWINS.get(word.lower())
    return draw.choice(found) if found else None


def homoglyph(word: str, draw: Random) -> str | None:
    """Writes the letters of a word with Cyrillic ones that look the same."""
    return word.translate(CYRILLIC)


def one(change: Callable[[str, Random], str | None], least: int = 4) -> Callable[..., str | None]:
    """An edit of a word as an edit of a text: of one word drawn from it."""

    def whole(text: str, draw: Random) -> str | None:
        return at_word(text, draw, change, least=least)

    whole.__doc__ = change.__doc__
    return whole


def split_word(text: str, draw: Random) -> str | None:
    """Splits one word by a space."""

    def cut(word: str, draw: Random) -> str:
        at = draw.randrange(1, len(word))
        return word[:at] + " " + word[at:]

    return at_word(text, draw, cut, least=4)


def joined_words(text: str, draw: Random) -> str | None:
    """Runs two words together."""
    places = [m.start() for m in re.finditer(r"(?<=\w) (?=\w)", text)]
    if not places:
        return None
    at = draw.choice(places)
    return text[:at] + text[at + 1 :]


def upper(text: str, draw: Random) -> str | None:
    """Writes everything in capitals."""
    return text.upper()


def lower(text: str, draw: Random) -> str | None:
    """Writes everything in small letters."""
    return text.lower()


def sponge(text: str, draw: Random) -> str | None:
    """Alternates small letters and capitals."""
    count = 0
    out = []
    for sign in text:
        out.append(sign.upper() if count % 2 else sign.lower())
        count += sign.isalpha()
    return "".join(out)


def case(text: str, draw: Random) -> str | None:
    """Changes the case of letters and nothing else: all small, all capitals, or alternating."""
    kinds = [upper, lower, sponge]
    draw.shuffle(kinds)
    return next((new for new in (k(text, draw) for k in kinds) if new != text), None)


def punctuation(text: str, draw: Random) -> str | None:
    """Adds, changes or removes a sign of punctuation at the end; letters stay as they are."""
    bare = text.rstrip(" .!?,;")
    ends = [bare, bare + ".", bare + "!", bare + " .", bare + " !", bare + " ..."]
    left = [e for e in ends if e != text]
    return draw.choice(left) if bare else None


def spaced(text: str, draw: Random) -> str | None:
    """Puts spaces around every sign of punctuation."""
    return re.sub(r" *([.,;:!?]) *", r" \1 ", text).strip()


EDITS = (
    Edit("spelling", "orthography", one(spelling)),
    Edit("capitalisation", "orthography", case),
    Edit("punctuation", "orthography", punctuation),
    Edit("typo", "orthography", one(slip)),
    Edit("letter-added", "orthography", one(insert)),
    Edit("letter-omitted", "orthography", one(omit)),
    Edit("letters-swapped", "orthography", one(swap)),
    Edit("letter-replaced", "orthography", one(replace_letter)),
    Edit("neighbouring-key", "orthography", one(neighbour)),
    Edit("by-ear", "orthography", one(by_ear)),
    Edit("real-word", "orthography", one(twin, 2)),
    Edit("homoglyphs", "orthography", one(homoglyph, 2)),
    Edit("split-word", "orthography", split_word),
    Edit("joined-words", "orthography", joined_words),
    Edit("upper-case", "orthography", upper),
    Edit("lower-case", "orthography", lower),
    Edit("sponge-case", "orthography", sponge),
    Edit("spaced-punctuation", "orthography", spaced),
)
