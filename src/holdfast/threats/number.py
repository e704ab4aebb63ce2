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


def number_and_range(
    words: list[str], text: str, rule: str, fix: str
) -> tuple[float, float, float]:
    """A number and the range of inputs, from the words behind the name of a threat.

    Args:
        words: `["0.5"]` or `["0.5", "-1..1"]`; without a range it is 0..1.
        text: the threat as written, for the error.
        rule: what it takes, for the error.
        fix: how to write it, for the error.

    Raises:
        ConfigError: for other words.
    """
    if len(words) not in (1, 2) or (len(words) == 2 and ".." not in words[1]):
        raise ConfigError(f"threat {text!r}: {rule}", fix=fix, code="E0140")
    return (read(words[0], text), *ends(words[1:], text))


def ends(words: list[str], text: str) -> tuple[float, float]:
    """The ends of the range of inputs, from its word `low..high`; 0 and 1 without a word.

    Raises:
        ConfigError: if they are not two numbers.
    """
    low, _, high = words[0].partition("..") if words else ("0", "", "1")
    return read(low, text), read(high, text)


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
