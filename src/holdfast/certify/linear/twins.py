"""Neurons that are the same, or the same with their sign turned, up to errors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from holdfast.certify.linear.layers import Layer
from holdfast.certify.linear.written import Value
from holdfast.ops.interval import Box


class Alike(NamedTuple):
    """Numbers before a ReLU, and those of them that stand for others.

    Args:
        first: `(m,)` which stands for each.
        sign: `(m,)` and with which sign.
        base: those that stand for others.
        place: `(m,)` where these are among them.
        layer: the same as rows.
        ends: of them.
        apart: `(m,)` how far each may lie from the one that stands for it.
        on: `(m,)` whether each is not negative.
        open_: `(m,)` whether its sign is open.
    """

    first: np.ndarray
    sign: np.ndarray
    base: Value
    place: np.ndarray
    layer: Layer
    ends: Box
    apart: np.ndarray
    on: np.ndarray
    open_: np.ndarray


def twins(terms: csr_array) -> tuple[np.ndarray, np.ndarray]:
    """`(m,)`: the first row that is the same or the same with its sign turned, and the sign."""
    terms.sort_indices()
    first, sign = [], []
    seen: dict[tuple[bytes, bytes], tuple[int, float]] = {}
    for k in range(terms.shape[0]):
        part = slice(terms.indptr[k], terms.indptr[k + 1])
        number = terms.data[part]
        turn = -1.0 if len(number) and number[0] < 0 else 1.0
        j, other = seen.setdefault(
            (terms.indices[part].tobytes(), (number * turn).tobytes()), (k, turn)
        )
        first.append(j)
        sign.append(turn * other)
    return np.array(first), np.array(sign)
