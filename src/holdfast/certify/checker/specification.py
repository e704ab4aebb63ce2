"""The alternatives of a VNN-LIB text, numbered as proofs number them."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from holdfast.certify.checker.rejected import Rejected

MOST = 100_000
Array = np.ndarray[Any, np.dtype[np.float64]]
Row = tuple[dict[str, Fraction], Fraction]  # sum of factor * variable <= limit


@dataclass(frozen=True, eq=False)
class Alternative:
    """A conjunction within a box: `c y + e x <= d`, rounded so that it contains the exact one."""

    low: Array
    high: Array
    c: Array
    e: Array
    d: Array


def alternatives(text: str) -> Iterator[Alternative | None]:
    """All alternatives in order; None for those whose box is empty, or that are never true."""
    names: list[str] = []
    factors: list[list[list[Row]]] = []
    shared: list[Row] = []
    for tree in _parsed(text):
        if tree[0] in ("declare-const", "declare-fun"):
            names.append(tree[1])
        elif tree[0] == "assert":
            # Inequalities on their own hold always; of everything else one way must hold.
            for part in _parts(tree[1]):
                if part[0] == "or":
                    factors.append(list(_ways(part)))
                else:
                    shared.extend(*_ways(part))
        elif tree[0] not in ("set-logic", "set-info", "set-option", "check-sat", "exit"):
            raise Rejected(f"the specification says {tree[0]!r}, which is not known here")
    inputs, outputs = (sum(name.startswith(k) for name in names) for k in ("X_", "Y_"))
    wanted = {f"X_{i}" for i in range(inputs)} | {f"Y_{i}" for i in range(outputs)}
    if set(names) != wanted or len(names) != len(wanted):
        raise Rejected("the specification does not declare X_0, X_1, ... and Y_0, Y_1, ... once")
    if math.prod(len(f) for f in factors) > MOST:
        raise Rejected(f"the specification has more than {MOST} alternatives")
    for chosen in itertools.product(*factors):
        yield _alternative([*shared, *itertools.chain(*chosen)], inputs, outputs)


def _parts(tree: Any) -> Iterator[Any]:
    """The parts of nested `and`s."""
    if tree[0] == "and":
        for part in tree[1:]:
            yield from _parts(part)
    else:
        yield tree


def _ways(tree: Any) -> Iterator[list[Row]]:
    """The disjunctive normal form of a formula."""
    head = tree[0]
    if head == "or":
        for part in tree[1:]:
            yield from _ways(part)
    elif head == "and":
        slots = [list(_ways(part)) for part in tree[1:]]
        if math.prod(len(slot) for slot in slots) > MOST:
            raise Rejected(f"the specification has more than {MOST} alternatives")
        for chosen in itertools.product(*slots):
            yield list(itertools.chain(*chosen))
    elif head in ("<=", "<", ">=", ">") and len(tree) == 3:
        (a, p), (b, q) = (_linear(side) for side in tree[1:])
        if head in (">=", ">"):
            (a, p), (b, q) = (b, q), (a, p)
        row = {n: a.get(n, Fraction(0)) - b.get(n, Fraction(0)) for n in a | b}
        yield [({n: f for n, f in row.items() if f}, q - p)]
    else:
        raise Rejected(f"the specification says {head!r}, which the checker does not read")


def _linear(tree: Any) -> Row:
    """A linear expression as factors and a constant."""
    if isinstance(tree, str):
        if re.fullmatch(r"[XY]_\d+", tree):
            return {tree: Fraction(1)}, Fraction(0)
        if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", tree):
            return {}, Fraction(tree)
        raise Rejected(f"the specification says {tree!r} where a number should be")
    head, parts = tree[0], [_linear(part) for part in tree[1:]]
    if head not in ("+", "-", "*") or not parts:
        raise Rejected(f"the specification computes {head!r}, which the checker does not read")
    if head == "-" and len(parts) == 1:
        parts = [({}, Fraction(0)), *parts]
    (row, constant), *rest = parts
    for other, number in rest:
        if head in ("+", "-"):
            sign = 1 if head == "+" else -1
            row = {n: row.get(n, Fraction(0)) + sign * other.get(n, 0) for n in {**row, **other}}
            constant += sign * number
            continue
        if row and other:
            raise Rejected("the specification is not linear")
        products = {n: f * number for n, f in row.items()} | {
            n: f * constant for n, f in other.items()
        }
        row, constant = products, constant * number
    return row, constant


def _parsed(text: str) -> list[Any]:
    """Nested lists of words."""
    top: list[Any] = []
    stack = [top]
    for word in re.findall(r"[()]|[^\s()]+", re.sub(r";[^\n]*", "", text)):
        if word == "(":
            stack[-1].append([])
            stack.append(stack[-1][-1])
        elif word == ")":
            if len(stack) == 1 or not stack.pop():
                raise Rejected("the parentheses of the specification do not match")
        else:
            stack[-1].append(word)
        if len(stack) > 200:
            raise Rejected("the specification is nested too deeply")
    if len(stack) > 1 or not all(isinstance(tree, list) for tree in top):
        raise Rejected("the parentheses of the specification do not match")
    return top


def _alternative(rows: list[Row], inputs: int, outputs: int) -> Alternative | None:
    low: list[Fraction | None] = [None] * inputs
    high: list[Fraction | None] = [None] * inputs
    kept: list[Row] = []
    for row, limit in rows:
        if not row and limit < 0:
            return None
        (name, factor), *others = row.items() if row else [("", Fraction(0))]
        if others or not name.startswith("X"):
            if row:
                kept.append((row, limit))
            continue
        i, end = int(name[2:]), limit / factor
        if factor > 0:
            high[i] = end if high[i] is None else min(high[i], end)  # type: ignore[type-var]
        else:
            low[i] = end if low[i] is None else max(low[i], end)  # type: ignore[type-var]
    if None in low or None in high:
        raise Rejected("the specification leaves an input unbounded")
    if any(a > b for a, b in zip(low, high, strict=True)):  # type: ignore[operator]
        return None
    c, e = np.zeros((len(kept), outputs)), np.zeros((len(kept), inputs))
    d = np.zeros(len(kept))
    for r, (row, limit) in enumerate(kept):
        scale = math.lcm(*(factor.denominator for factor in row.values()))
        for name, factor in row.items():
            whole = int(factor * scale)
            if abs(whole) > 2**53:
                raise Rejected("a factor of the specification has too many digits")
            (c if name[0] == "Y" else e)[r, int(name[2:])] = whole
        d[r] = rounded_up(limit * scale)
    ends = [-rounded_up(-v) for v in low], [rounded_up(v) for v in high]  # type: ignore[operator,arg-type]
    return Alternative(np.array(ends[0]), np.array(ends[1]), c, e, d)


def rounded_up(value: Fraction) -> float:
    """The smallest float64 that is not below a number."""
    near = float(value)
    return near if Fraction(near) >= value else math.nextafter(near, math.inf)
