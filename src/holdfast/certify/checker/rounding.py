"""Float64 arithmetic whose errors are bounded.

A product of a row of n numbers with a vector is wrong by at most
`gamma(n) * |row| @ |vector|`, whatever the order of summation; where a matrix of coefficients is
rounded, the error counts against the largest value that it will be multiplied with, which is
known from the intervals. gamma is taken twice as large as the theorem asks, which also covers
entries of matrices that are wrong by a few roundings of their own size.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from holdfast.certify.checker.values import Matrix

Array = np.ndarray[Any, np.dtype[np.float64]]
TINY = 1e-290  # covers underflow of up to 10^15 products


def gamma(count: int) -> float:
    """Relative error of a sum of products, with room."""
    return (count + 16) * 2.0**-52


def times(a: Array, matrix: Matrix) -> Array:
    """`a @ matrix` along the last axis."""
    if matrix is None:
        return a
    if isinstance(matrix, np.ndarray) and matrix.ndim == 1:
        return a * matrix
    flat = a.reshape(-1, a.shape[-1])
    return np.asarray(flat @ matrix).reshape(*a.shape[:-1], matrix.shape[1])


def down(x: Array) -> Array:
    """The next number below."""
    return np.nextafter(x, -np.inf)


def up(x: Array) -> Array:
    """The next number above."""
    return np.nextafter(x, np.inf)
