"""Lists of Python values become rows: texts, arrays, labels with gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import torch
from torch import Tensor

from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.errors import ShapeError
from holdfast.readers.arrays import as_labels, from_pair
from holdfast.readers.origin import Origin

MOST = 3e38  # what float32 holds


def texts(found: Sequence[Any], labels: Sequence[Any] | None, name: str) -> Batches:
    """Rows that are texts; without labels every row is unlabelled."""
    bad = next((i for i, t in enumerate(found) if not isinstance(t, str)), None)
    if bad is not None:
        raise ShapeError(
            f"{name}: the text of row {bad + 1} is {type(found[bad]).__name__}",
            fix="Give a text in every row.",
            code="E0206",
        )
    y, classes = labelled(labels, len(found), name)
    truth = Origin(name=name, form="text", total=len(found))
    return Batches(x=list(found), y=y, classes=classes, truth=truth)


def labelled(labels: Sequence[Any] | None, count: int, name: str) -> tuple[Tensor, tuple[str, ...]]:
    """Labels as numbers, -100 where there is none, and the names of the classes."""
    y = torch.full((count,), UNLABELLED)
    if labels is None:
        return y, ()
    known = [i for i, v in enumerate(labels) if v is not None]
    kinds = {type(labels[i]) for i in known}
    if not kinds <= {bool, int, float} and kinds != {str}:
        raise ShapeError(
            f"{name}: labels are {', '.join(sorted(k.__name__ for k in kinds))}",
            fix="Give numbers from 0, or names, but not both.",
            code="E0204",
        )
    dtype = np.str_ if kinds == {str} else np.int64 if kinds <= {bool, int} else np.float64
    try:
        values, classes = as_labels(
            np.asarray([labels[i] for i in known], dtype), f"{name}: labels"
        )
    except OverflowError:
        raise ShapeError(
            f"{name}: a label is too large", fix="Number the classes from 0.", code="E0204"
        ) from None
    y[torch.tensor(known, dtype=torch.long)] = values
    return y, classes


def arrays(
    found: Sequence[Any], labels: Sequence[Any] | None, name: str, dtype: Any = None
) -> Batches:
    """Rows that are lists of numbers, nested alike; of type `dtype` where it is known."""
    made, first = [], None
    for i, value in enumerate(found):
        try:
            row = np.asarray(value, dtype)
        except (ValueError, TypeError, OverflowError):
            row = np.asarray(None)
        first = row.shape if first is None else first
        if row.dtype.kind not in "buif" or row.shape != first or not row.ndim:
            raise ShapeError(
                f"{name}: row {i + 1} is no list of numbers of shape {first}",
                fix="Give numbers, nested alike in every row.",
                code="E0203",
            )
        made.append(row)
    y, classes = labelled(labels, len(made), name)
    return from_pair(np.stack(made), y, name, classes)


def table(
    found: Sequence[Sequence[Any]], columns: Sequence[str], labels: Sequence[Any], name: str
) -> Batches:
    """Rows of numbers, with the names of their columns."""
    if not columns:
        raise ShapeError(f"{name} has no column but the class", fix="Add inputs.", code="E0206")
    for number, row in enumerate(found, 1):
        for column, value in zip(columns, row, strict=True):
            _number(value, f"{name}, row {number}: {column!r}")
    y, classes = labelled(labels, len(found), name)
    x = torch.tensor([[float(v) for v in row] for row in found])
    truth = Origin(name=name, form="table", columns=tuple(columns), total=len(found))
    return Batches(x=x.reshape(len(found), len(columns)), y=y, classes=classes, truth=truth)


def _number(value: Any, place: str) -> None:
    if value is None or (isinstance(value, float | Decimal) and math.isnan(value)):
        raise ShapeError(
            f"{place} has no value", fix="Fill the gaps as for training.", code="E0207"
        )
    if not isinstance(value, int | float | Decimal):
        raise ShapeError(
            f"{place} is {type(value).__name__}, not a number",
            fix="Write the numbers that the model is given, or leave the column out.",
            code="E0206",
        )
    size: Any = abs(value)
    if not size < MOST:
        raise ShapeError(
            f"{place} is beyond {MOST:g}", fix="Give it in another unit.", code="E0206"
        )
