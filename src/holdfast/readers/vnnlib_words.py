"""VNN-LIB text as nested lists of words, with the line of each for what is wrong with it."""

from __future__ import annotations

import re
from bisect import bisect_left
from fractions import Fraction
from typing import Any, NamedTuple, NoReturn

from holdfast.core.errors import ConfigError

MAX_DEPTH = 200

DIGITS = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?"
# Most of a file are bounds of single inputs: these are read at once, all else word by word.
_TOKEN = re.compile(rf"\(assert \((<=|>=) X_(\d{{1,9}}) ({DIGITS})\)\)|;[^\n]*|[()]|[^\s();]+")

Word = tuple[str, int]  # a token and where it starts in the text
Tree = Word | list["Tree"]


class Bound(NamedTuple):
    """A bound of one input."""

    sign: str
    which: str
    digits: str
    start: int


class Words:
    """One text and its name: its words, and errors that name the line.

    Args:
        text: of the file.
        name: of the file.
    """

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name
        self.numbers: dict[str, Fraction] = {}
        self.ends = [found.start() for found in re.finditer("\n", text)]

    def trees(self) -> list[Tree | Bound]:
        """The text as nested lists of words."""
        top: list[Tree | Bound] = []
        stack: list[list[Any]] = [top]
        for found in _TOKEN.finditer(self.text):
            word, start = found[0], found.start()
            if found[1]:  # a comparison: the whole assertion of a bound
                if len(stack) > 1:
                    self.fail((word, start), "an assertion inside of something else")
                top.append(Bound(found[1], found[2], found[3], start))
            elif word == "(":
                inner: list[Tree] = []
                stack[-1].append(inner)
                stack.append(inner)
                if len(stack) > MAX_DEPTH:
                    self.fail((word, start), f"more than {MAX_DEPTH} nested parentheses")
            elif word == ")":
                if len(stack) == 1:
                    self.fail((word, start), "a parenthesis closes that was never opened")
                if not stack.pop():
                    self.fail((word, start), "empty parentheses")
            elif not word.startswith(";"):
                stack[-1].append((word, start))
        if len(stack) > 1:
            self.fail(stack[-1], "a parenthesis is never closed")
        return top

    def number(self, text: str) -> Fraction:
        if text not in self.numbers:
            self.numbers[text] = Fraction(text)
        return self.numbers[text]

    def at(self, tree: Tree) -> int:
        """The line in which a part of the text begins, from 1."""
        while isinstance(tree, list):
            if not tree:
                return len(self.ends) + 1
            tree = tree[0]
        return bisect_left(self.ends, tree[1]) + 1

    def fail(self, tree: Tree, says: str) -> NoReturn:
        self.stop(f"line {self.at(tree)}: {says}")

    def stop(self, says: str) -> NoReturn:
        raise ConfigError(
            f"{self.name}, {says}", fix="VNN-LIB: see docs/verify.md for what is read.",
            code="E0186",
        )  # fmt: skip
