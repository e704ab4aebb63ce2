"""When rows of one shape are those of another, written differently."""

from __future__ import annotations

from math import prod


def fits(given: tuple[int, ...], own: tuple[int, ...]) -> bool:
    """Whether rows of one shape are, without doubt, rows of another written differently."""
    plain, wanted = ([n for n in shape if n != 1] for shape in (given, own))
    flat = prod(given) == prod(own) and min(len(plain), len(wanted)) <= 1
    return plain == wanted or flat
