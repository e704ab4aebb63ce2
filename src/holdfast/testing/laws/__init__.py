"""The laws: one module per kind, one function per law."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class LawBroken(AssertionError):
    """A method does not obey a law of its kind; the message says which and how."""


_COUNT: ContextVar[list[int] | None] = ContextVar("count", default=None)


@contextmanager
def counted() -> Iterator[list[int]]:
    """Count the statements that the laws of a block hold to account."""
    count = [0]
    token = _COUNT.set(count)
    try:
        yield count
    finally:
        _COUNT.reset(token)


def held() -> None:
    """One more statement is about to be held to account."""
    count = _COUNT.get()
    if count is not None:
        count[0] += 1
