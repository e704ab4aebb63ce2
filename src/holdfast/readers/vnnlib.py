"""VNN-LIB files: what is unsafe for a network, as assertions about its inputs and outputs.

The file is text from anywhere: it is parsed by hand with limits on its size, its depth and its
numbers, and nothing in it is evaluated. Numbers are kept as exact fractions.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

from holdfast.certify.properties.cases import property_of
from holdfast.certify.properties.formula import Atom, Every, Formula, Some, Variable
from holdfast.certify.properties.property import Property
from holdfast.core.errors import ConfigError
from holdfast.readers.packed import unpacked
from holdfast.readers.vnnlib_words import DIGITS, Bound, Tree, Word, Words

MAX_BYTES = 256 * 2**20
MAX_DIGITS = 400

_NUMBER = re.compile(DIGITS)
_NAME = re.compile(r"([XY])_(\d{1,9})")

ONE = Fraction(1)
Line = tuple[dict[Variable, Fraction], Fraction]  # factors of the variables, and a constant


def read_property(path: str | Path, *, max_bytes: int = MAX_BYTES) -> Property:
    """The unsafe set that a VNN-LIB file describes; the file may be packed by gzip.

    Raises:
        ConfigError: naming the line of what cannot be read, of an unknown variable, or the input
            that has no bound.
        UntrustedFile: if the file is larger than `max_bytes`, also when unpacked.
    """
    raw = unpacked(Path(path), max_bytes)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{Path(path).name} is not text: byte {error.start}",
            fix="A VNN-LIB file is ASCII text.", code="E0185",
        ) from None  # fmt: skip
    return parse_property(text, Path(path).name)


def parse_property(text: str, name: str = "the property") -> Property:
    """The unsafe set that VNN-LIB text describes; errors as of `read_property`."""
    return _Parser(text, name).read()


class _Parser(Words):
    """Reads one text: declarations first, then assertions."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text, name)
        self.declared: dict[str, set[int]] = {"X": set(), "Y": set()}

    def read(self) -> Property:
        asserted: list[Formula] = []
        for tree in self.trees():
            if isinstance(tree, Bound):
                asserted.append(self.bound(tree))
                continue
            parts: list[Tree] = tree if isinstance(tree, list) else [tree]
            head = parts[0][0] if isinstance(tree, list) else ""
            if head in ("declare-const", "declare-fun"):
                self.declare(parts)
            elif head == "assert" and len(parts) == 2:
                asserted.append(self.formula(parts[1]))
            elif head not in ("set-logic", "set-info", "set-option", "check-sat", "exit"):
                self.fail(tree, "expected (declare-const ...) or (assert ...)")
        sizes = {kind: len(found) for kind, found in self.declared.items()}
        for kind, found in self.declared.items():
            if missing := set(range(len(found))) - found:
                self.stop(f"declares {len(found)} variables {kind}, but not {kind}_{min(missing)}")
            if not found:
                self.stop(f"declares no variable {kind}_0")
        return property_of(sizes["X"], sizes["Y"], _flat(asserted))

    def bound(self, found: Bound) -> Atom:
        variable, place = Variable("X", int(found.which)), ("", found.start)
        if variable.place not in self.declared["X"]:
            self.fail(place, f"unknown variable {variable}: it is not declared above")
        end = self.number(found.digits)
        if found.sign == "<=":
            return Atom(((variable, ONE),), end, line=self.at(place))
        return Atom(((variable, -ONE),), -end, line=self.at(place))

    def declare(self, tree: list[Tree]) -> None:
        name = tree[1] if len(tree) > 1 else ""
        found = _NAME.fullmatch(name[0]) if isinstance(name, tuple) else None
        if found is None or not isinstance(tree[-1], tuple) or tree[-1][0] != "Real":
            self.fail(tree, "expected (declare-const X_0 Real) or (declare-const Y_0 Real)")
        self.declared[found[1]].add(int(found[2]))

    def formula(self, tree: Tree, negated: bool = False) -> Formula:
        if isinstance(tree, tuple) or not isinstance(tree[0], tuple):
            if isinstance(tree, tuple) and tree[0] in ("true", "false"):
                return Every(()) if (tree[0] == "true") != negated else Some(())
            self.fail(tree, "expected and, or, not, <=, >=, <, > or =")
        head, parts = tree[0][0], tree[1:]
        if head in ("and", "or"):
            kind = Every if (head == "and") != negated else Some
            return kind(tuple(self.formula(part, negated) for part in parts))
        if head == "not" and len(parts) == 1:
            return self.formula(parts[0], not negated)
        if head in ("<=", ">=", "<", ">", "=") and len(parts) == 2:
            left, right = self.line(parts[0]), self.line(parts[1])
            return self.compared(head, left, right, negated, tree)
        return self.fail(tree, f"{head} with {len(parts)} parts is not known here")

    def compared(self, head: str, left: Line, right: Line, negated: bool, tree: Tree) -> Formula:
        if head == "=":
            ends = [self.compared(h, left, right, negated, tree) for h in ("<=", ">=")]
            return Some(tuple(ends)) if negated else Every(tuple(ends))
        if head in (">=", ">"):
            left, right = right, left
        strict = head in ("<", ">")
        if negated:
            left, right, strict = right, left, not strict
        factors = dict(left[0])
        for variable, factor in right[0].items():
            factors[variable] = factors.get(variable, Fraction(0)) - factor
        terms = tuple((v, f) for v, f in factors.items() if f)
        return Atom(terms, right[1] - left[1], strict, self.at(tree))

    def line(self, tree: Tree) -> Line:
        """A linear expression."""
        if isinstance(tree, tuple):
            return self.leaf(tree)
        head = tree[0][0] if isinstance(tree[0], tuple) else ""
        parts = [self.line(part) for part in tree[1:]]
        if head == "-" and len(parts) == 1:
            return _times(parts[0], Fraction(-1))
        if head in ("+", "-") and parts:
            total = parts[0]
            for part in parts[1:]:
                total = _plus(total, part if head == "+" else _times(part, Fraction(-1)))
            return total
        if head == "*" and parts:
            total = parts[0]
            for part in parts[1:]:
                if total[0] and part[0]:
                    self.fail(tree, "a product of two variables is not linear")
                total = _times(total, part[1]) if total[0] else _times(part, total[1])
            return total
        if head == "/" and len(parts) == 2:
            if parts[1][0] or not parts[1][1]:
                self.fail(tree, "division by something else than a number other than 0")
            return _times(parts[0], 1 / parts[1][1])
        return self.fail(tree, "expected a variable, a number, +, -, * or /")

    def leaf(self, word: Word) -> Line:
        text = word[0]
        if (found := _NAME.fullmatch(text)) is not None:
            variable = Variable(found[1], int(found[2]))
            if variable.place not in self.declared[variable.kind]:
                self.fail(word, f"unknown variable {text}: it is not declared above")
            return {variable: ONE}, Fraction(0)
        if len(text) > MAX_DIGITS or _NUMBER.fullmatch(text) is None:
            self.fail(word, f"{text[:40]!r} is neither a variable X_i, Y_j nor a number")
        return {}, self.number(text)


def _flat(formulas: list[Formula]) -> Every:
    """A conjunction whose parts are no conjunctions themselves."""
    parts: list[Formula] = []
    for formula in formulas:
        parts.extend(_flat(list(formula.parts)).parts if isinstance(formula, Every) else (formula,))
    return Every(tuple(parts))


def _plus(one: Line, two: Line) -> Line:
    factors = dict(one[0])
    for variable, factor in two[0].items():
        factors[variable] = factors.get(variable, Fraction(0)) + factor
    return factors, one[1] + two[1]


def _times(line: Line, factor: Fraction) -> Line:
    return {v: f * factor for v, f in line[0].items()}, line[1] * factor
