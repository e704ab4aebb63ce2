"""How people get words wrong, as a source of candidates for edits of words."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.core.errors import ConfigError
from holdfast.ops.spelling import glyphs, phonetic, typos

KINDS: dict[str, Callable[[str], list[str]]] = {
    "typo": typos,
    "glyph": glyphs,
    "phonetic": phonetic,
}


def misspellings(
    kinds: tuple[str, ...] = ("typo", "glyph", "phonetic"), *, letters: int = 4
) -> Callable[[str], list[str]]:
    """A source of candidates for `Words.of`: one human error of a word.

    With a table made of it, `substitutions` edits a word at most once and so many words at most.

    Args:
        kinds: of errors: typo, glyph, phonetic.
        letters: shorter words have no errors.

    Raises:
        ConfigError: for an unknown kind.
    """
    if unknown := [k for k in kinds if k not in KINDS]:
        raise ConfigError(
            f"misspellings: no kind {unknown[0]!r}", fix=f"Kinds: {', '.join(KINDS)}."
        )

    def wrong(word: str) -> list[str]:
        if len(word) < letters:
            return []
        return list(dict.fromkeys(w for kind in kinds for w in KINDS[kind](word)))

    return wrong
