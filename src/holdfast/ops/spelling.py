"""How people get words wrong: slips of the finger, look-alike signs, spelling by ear."""

from __future__ import annotations

from collections.abc import Iterator

KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
LOOK_ALIKE = (
    ("rn", "m"), ("m", "rn"), ("cl", "d"), ("d", "cl"), ("vv", "w"), ("w", "vv"), ("o", "0"),
    ("0", "o"), ("l", "1"), ("1", "l"), ("i", "1"), ("s", "5"), ("e", "3"), ("a", "@"),
    ("b", "6"), ("g", "9"), ("a", "\u00e1"), ("e", "\u00e9"), ("i", "\u00ed"), ("o", "\u00f3"),
    ("u", "\u00fa"), ("n", "\u00f1"), ("c", "\u00e7"), ("y", "\u00fd"), ("a", "\u0430"),
    ("e", "\u0435"), ("o", "\u043e"), ("p", "\u0440"), ("c", "\u0441"), ("x", "\u0445"),
)  # fmt: skip
SOUND_ALIKE = (
    ("ph", "f"), ("f", "ph"), ("ck", "k"), ("tion", "shun"), ("sion", "zhun"), ("ight", "ite"),
    ("ee", "ea"), ("ea", "ee"), ("ie", "y"), ("y", "ie"), ("oo", "u"), ("qu", "kw"), ("x", "ks"),
    ("ks", "x"), ("ou", "ow"), ("ow", "ou"), ("ai", "ay"), ("ay", "ai"), ("kn", "n"), ("wr", "r"),
    ("wh", "w"), ("ce", "se"), ("ci", "si"), ("ca", "ka"), ("co", "ko"), ("cu", "ku"),
    ("er", "ur"), ("ur", "er"), ("or", "er"), ("au", "aw"), ("aw", "au"), ("gh", "g"),
    ("dge", "j"), ("ough", "uff"), ("eigh", "ay"), ("mb", "m"), ("ch", "k"), ("sch", "sk"),
)  # fmt: skip


def beside(letter: str) -> str:
    """Keys to the left and right of a key, and above and below it."""
    for r, row in enumerate(KEYBOARD):
        place = row.find(letter)
        if place >= 0:
            near = [(r, place - 1), (r, place + 1), (r - 1, place), (r - 1, place + 1),
                    (r + 1, place - 1), (r + 1, place)]  # fmt: skip
            return "".join(
                KEYBOARD[i][j] for i, j in near if 0 <= i < 3 and 0 <= j < len(KEYBOARD[i])
            )
    return ""


def _typed(word: str) -> Iterator[str]:
    for i in range(1, len(word)):
        letter = word[i]
        if i + 1 < len(word):
            yield word[:i] + word[i + 1] + letter + word[i + 2 :]
        yield word[:i] + word[i + 1 :]
        yield word[:i] + letter + word[i:]
        for key in beside(letter.lower()):
            yield word[:i] + key + word[i + 1 :]
            yield word[:i] + key + word[i:]


def _rewritten(word: str, pairs: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for old, new in pairs:
        place = word.find(old)
        while place >= 0:
            yield word[:place] + new + word[place + len(old) :]
            place = word.find(old, place + 1)


def typos(word: str) -> list[str]:
    """One slip of the finger: neighbours swapped, a letter lost, doubled, hit or added beside.

    The first letter stays, since it carries most of what makes a word recognisable.
    """
    return _others(word, _typed(word))


def glyphs(word: str) -> list[str]:
    """One sign or group of signs replaced by one that looks alike."""
    return _others(word, _rewritten(word, LOOK_ALIKE))


def phonetic(word: str) -> list[str]:
    """One group of letters respelt so that the word sounds alike."""
    return _others(word, _rewritten(word, SOUND_ALIKE))


def _others(word: str, found: Iterator[str]) -> list[str]:
    return [w for w in dict.fromkeys(found) if w != word and w]
