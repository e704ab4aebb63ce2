"""Numbers of the threat grammar: what is printed is read back as exactly the same number."""

from __future__ import annotations

from math import isnan

from holdfast.core.errors import ConfigError


def shown(value: float) -> str:
    """The shortest text that reads back exactly; 255ths as fractions, since people think so."""
    whole = round(value * 255) if abs(value) < 4 else 0
    plain = f"{value:g}"
    if float(plain) == value and len(plain) < 5:
        return plain
    if whole > 0 and whole / 255 == value:
        return f"{whole}/255"
    return plain if float(plain) == value else repr(value)


def read(text: str, place: str) -> float:
    """A decimal or a fraction.

    Args:
        text: `0.5`, `8/255`, `inf`.
        place: where it stands, for the error.

    Raises:
        ConfigError: if it is neither.
    """
    head, slash, tail = text.strip().partition("/")
    try:
        if "_" in text:  # Python reads 1_000 as a number, people read a mistake
            raise ValueError(text)
        value = float(head) / float(tail) if slash else float(head)
    except (ValueError, ZeroDivisionError):
        value = float("nan")
    if isnan(value):
        raise ConfigError(
            f"threat {place!r}: {text!r} is not a number",
            fix="Write a decimal or a fraction, e.g. linf:8/255 or l2:0.5.",
            code="E0140",
        )
    return value


def ordered(low: float, high: float) -> None:
    """Raise where a range of inputs holds nothing.

    Raises:
        ValueError: unless low < high; settings turn it into a ConfigError.
    """
    if not low < high:
        raise ValueError(f"low must lie below high, not {low:g}..{high:g}")


def box(low: float, high: float) -> str:
    """The range of inputs as the last word of a threat; empty for [0, 1]."""
    return "" if (low, high) == (0.0, 1.0) else f":{shown(low)}..{shown(high)}"
