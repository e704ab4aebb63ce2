"""Columns of a table, and what a reference says about one.

A column is an array of float64 (NaN where there is no value), or of texts and None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

BLANK = ("", "na", "n/a", "nan", "null", "none")
FEW, ROWS_PER_VALUE = 10, 20

Kind = Literal["number", "values", "various"]
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Window:
    """Some rows of a stream.

    Args:
        name: short, safe to show.
        columns: by name; in a reference they may differ in length.
        n: rows that are looked at.
        whole: rows that there were before sampling.
        damaged: rows that did not have one field for every column.
        x: the rows as a tensor, where they are not a table.
    """

    name: str
    columns: Mapping[str, Array]
    n: int
    whole: int
    damaged: int = 0
    x: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class Known:
    """What the reference says about a column.

    Args:
        name: of the column.
        kind: `number`; `values` that are counted one by one; `various` texts, hardly two alike,
            of which only gaps are compared.
        there: the values that there are: sorted floats, or texts.
        missing: rows without a value.
        coded: whether the counted values are numbers.
    """

    name: str
    kind: Kind
    there: Array
    missing: int
    coded: bool = False

    @property
    def n(self) -> int:
        """All rows."""
        return len(self.there) + self.missing


def blank(column: Array) -> Array:
    """`(n,)` bool: rows without a value; an infinite number is none."""
    if column.dtype.kind != "O":
        gaps: Array = ~np.isfinite(column.astype(np.float64))
        return gaps
    return np.array(
        [
            v is None
            or (isinstance(v, float) and not np.isfinite(v))
            or (isinstance(v, str) and v.strip().casefold() in BLANK)
            for v in column
        ],
        bool,
    )


def parsed(column: Array) -> tuple[Array, Array]:
    """Numbers, NaN where there is none, and which rows hold something else than a number."""
    if column.dtype.kind != "O":
        found = column.astype(np.float64)
        return np.where(np.isfinite(found), found, np.nan), np.zeros(len(found), bool)
    gaps = blank(column)
    try:
        found = np.where(gaps, np.nan, column).astype(np.float64)
    except ValueError:
        found = np.array([np.nan if g else _number(v) for v, g in zip(column, gaps, strict=True)])
    found = np.where(np.isfinite(found), found, np.nan)
    return found, np.isnan(found) & ~gaps


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except ValueError:
        return np.nan


def words(column: Array) -> Array:
    """The values that there are, as texts; equal numbers become equal texts."""
    kept = column[~blank(column)]
    return np.array([v.strip() if isinstance(v, str) else f"{v:.15g}" for v in kept], str)


def known(name: str, column: Array) -> Known:
    """What a column of the reference is.

    Numbers of at most ten values, each held by twenty rows on average, are codes or counts: their
    values are counted, which sees more than their order does. So are texts, unless more than half
    of them differ.

    Args:
        name: of the column.
        column: of the reference.
    """
    gaps = int(blank(column).sum())
    numbers, texts = parsed(column)
    if not texts.any():
        there = np.sort(numbers[~np.isnan(numbers)])
        distinct = len(np.unique(there))
        if distinct <= FEW and len(there) >= ROWS_PER_VALUE * distinct:
            return Known(name, "values", words(there), gaps, coded=True)
        return Known(name, "number", there, gaps)
    there = words(column)
    distinct = len(np.unique(there))
    various = distinct > 2 * FEW and 2 * distinct > len(there)
    return Known(name, "various" if various else "values", there, gaps)


def coded(column: Array, like: Known) -> Array:
    """The values of a window as texts, written as the reference writes them."""
    if not like.coded:
        return words(column)
    numbers, texts = parsed(column)
    kept = column[texts]
    return np.concatenate([words(numbers), words(kept) if len(kept) else np.array([], str)])
