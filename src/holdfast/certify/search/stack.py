"""The stack of open parts of a search, and how many are taken from it at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from holdfast.certify.search.parts import Parts
from holdfast.certify.search.splits import Splits

SECONDS = 0.25  # that one batch may take
Rows = TypeVar("Rows", Parts, Splits)


def pop(stack: list[Rows], size: int, join: Callable[[list[Rows]], Rows]) -> Rows:
    """Take the last `size` parts from a stack.

    Args:
        stack: of parts side by side; changed in place.
        size: how many.
        join: puts parts side by side.
    """
    taken: list[Rows] = []
    while stack and size > 0:
        last = stack.pop()
        cut = max(0, len(last) - size)
        taken.append(last.take(slice(cut, None)))
        size -= len(taken[-1])
        if cut:
            stack.append(last.take(slice(0, cut)))
    return taken[0] if len(taken) == 1 else join(taken)


@dataclass
class Pace:
    """How many parts are bounded together: as many as take about a quarter of a second.

    Args:
        least: never fewer.
        most: never more.
        size: to begin with.
    """

    least: int
    most: int
    size: int
    began: float = 0.0

    def start(self) -> None:
        """A batch begins."""
        self.began = time.monotonic()

    def stop(self) -> None:
        """A batch is done."""
        seconds = time.monotonic() - self.began
        if seconds < SECONDS:
            self.size = min(self.most, 2 * self.size)
        elif seconds > 2 * SECONDS:
            self.size = max(self.least, self.size // 2)
