"""Settings of plain functions that are outside their range: one wording for all of them.

Fields of a `settings` class declare their range on the field; these are for what a function is
handed, and for rules that no annotation can say.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from math import isfinite

from holdfast.core.errors import ConfigError


def inside(interval: str, who: str, /, **given: float | Iterable[float]) -> None:
    """Raise for the first setting that does not lie in the interval.

    Args:
        interval: as in a text on numbers, such as `(0, 1]`; an end at `inf)` asks for finite ones.
        who: asks; the message begins with it.
        given: settings by name: a number, or several of which each must fit, at least one.

    Raises:
        ConfigError: naming the setting, the interval, the value found and one that fits.
    """
    low, high = (float(end) for end in interval[1:-1].split(","))
    for name, value in given.items():
        several = isinstance(value, Iterable)
        each = tuple(value) if isinstance(value, Iterable) else (value,)
        if each and all(_inside(interval, low, high, one) for one in each):
            continue
        fits = _fitting(interval, low, high)
        raise ConfigError(
            f"{who}: {name} must {_rule(interval, low, high)}, got {each if several else value}",
            fix=f"Give {name}={f'({fits},)' if several else fits}"
            + (", or more." if interval[0] == "[" and not isfinite(high) else "."),
        )


def one_of(allowed: Iterable[str], who: str, /, **given: str) -> None:
    """Raise for the first setting that is none of the words.

    Args:
        allowed: the words.
        who: asks; the message begins with it.
        given: settings by name.

    Raises:
        ConfigError: naming the setting, the words, the value found and the word nearest to it.
    """
    words = tuple(allowed)
    for name, value in given.items():
        if value not in words:
            likely = get_close_matches(str(value), words, 1, cutoff=0.0)[0]
            raise ConfigError(
                f"{who}: {name} {value!r} is none of {', '.join(words)}",
                fix=f"Give {name}={likely!r}.",
            )


def _inside(interval: str, low: float, high: float, value: float) -> bool:
    above = value >= low if interval[0] == "[" else value > low
    return above and (value <= high if interval[-1] == "]" else value < high)


def _rule(interval: str, low: float, high: float) -> str:
    if isfinite(high):
        return f"lie in {interval}"
    finite = " and finite" if interval[-1] == ")" else ""
    return f"be {'at least' if interval[0] == '[' else 'above'} {low:g}{finite}"


def _fitting(interval: str, low: float, high: float) -> str:
    """A number in the interval that a user may well have meant."""
    if isfinite(high):
        return f"{(low + high) / 2:g}"
    return f"{low:g}" if interval[0] == "[" else f"{low + 0.1:g}"
