"""Near misses: the catalogue names that somebody who wrote another one may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher


def nearest(key: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The most likely of the known names for a name that does not exist, best first.

    The same name under another kind comes first, then the initials of a long name (`gce`), then
    beginnings, then similar spelling; among equals the same kind wins. Case does not matter.

    Args:
        key: what was asked for: `kind:name`, or a bare name.
        known: all names, as `kind:name`.
        count: how many to return at most; none if nothing is alike.
    """
    kind, colon, name = key.lower().replace("_", "-").strip().partition(":")
    kind, name = (kind, name) if colon else ("", kind)

    def score(candidate: str) -> float:
        its_kind, _, its_name = candidate.partition(":")
        initials = "".join(word[0] for word in its_name.split("-") if word)
        alike = SequenceMatcher(None, name, its_name).ratio() if name else 0.0
        if name == its_name:
            alike = 3.0
        elif len(name) > 1 and (name == initials or its_name.startswith(name)):
            alike = 1.0 + alike
        return alike + 0.2 * SequenceMatcher(None, kind, its_kind).ratio()

    ranked = sorted(((-score(k), k) for k in known), key=lambda pair: pair)
    return [k for s, k in ranked if -s >= max(0.7, -ranked[0][0] / 2)][:count]
