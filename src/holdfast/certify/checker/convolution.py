"""Convolutions and averages as sparse matrices."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from scipy import sparse

from holdfast.certify.checker.rejected import Rejected

Array = np.ndarray[Any, Any]
Built = tuple[Any, Array, tuple[int, ...]]


def _geometry(shape: tuple[int, ...], kernel: list[int], settings: dict[str, Any]) -> Any:
    """Steps, spacing, pads at the start and sizes of the result, for two axes."""
    dims = len(kernel)
    if dims not in (1, 2) or shape[0] != 1 or len(shape) != dims + 2:
        raise Rejected("the checker reads convolutions over one or two axes")
    if settings.get("ceil_mode", 0):
        raise Rejected("the checker does not read ceil_mode")
    step = list(settings.get("strides") or [1] * dims)
    apart = list(settings.get("dilations") or [1] * dims)
    pads = list(settings.get("pads") or [0] * 2 * dims)
    kind = settings.get("auto_pad", b"NOTSET")
    if kind in (b"SAME_UPPER", b"SAME_LOWER"):
        for i, (n, k) in enumerate(zip(shape[2:], kernel, strict=True)):
            total = max(0, (-(-n // step[i]) - 1) * step[i] + (k - 1) * apart[i] + 1 - n)
            pads[i] = total // 2 if kind == b"SAME_UPPER" else total - total // 2
            pads[i + dims] = total - pads[i]
    sizes = [
        (n + pads[i] + pads[i + dims] - (k - 1) * apart[i] - 1) // step[i] + 1
        for i, (n, k) in enumerate(zip(shape[2:], kernel, strict=True))
    ]
    return step, apart, pads, sizes


def _places(shape: tuple[int, ...], kernel: list[int], settings: dict[str, Any]) -> Any:
    """For each entry of the kernel: which input each output sees, -1 in the pads; and sizes."""
    step, apart, pads, sizes = _geometry(shape, kernel, settings)
    dims = len(kernel)
    places = np.arange(int(np.prod(shape[1:]))).reshape(shape[1:])
    around = [(0, 0), *((pads[i], pads[i + dims]) for i in range(dims))]
    wide = np.pad(places, around, constant_values=-1)
    found = []
    for entry in product(*(range(k) for k in kernel)):
        cut = tuple(
            slice(e * a, e * a + s * (n - 1) + 1, s)
            for e, a, s, n in zip(entry, apart, step, sizes, strict=True)
        )
        found.append((entry, wide[(slice(None), *cut)].reshape(shape[1], -1)))
    return found, sizes


def convolution(shape: tuple[int, ...], settings: dict[str, Any], rest: list[Any]) -> Built:
    """The matrix of a convolution, its offset and the shape of its result."""
    weight = np.asarray(rest[0], dtype=np.float64)
    seen, sizes = _places(shape, list(weight.shape[2:]), settings)
    groups, outs, ins = settings.get("group", 1), len(weight), weight.shape[1]
    count = int(np.prod(sizes))
    rows, columns, entries = [], [], []
    for entry, inputs in seen:
        own = weight[(slice(None), slice(None), *entry)]
        for g in range(groups):
            chosen = slice(g * outs // groups, (g + 1) * outs // groups)
            cols = inputs[g * ins : (g + 1) * ins][None]
            width = (chosen.stop - chosen.start, ins, count)
            row = np.arange(chosen.start, chosen.stop)[:, None, None] * count + np.arange(count)
            value = np.broadcast_to(own[chosen][:, :, None], width).reshape(-1)
            cols = np.broadcast_to(cols, width).reshape(-1)
            kept = (cols >= 0) & (value != 0)
            rows.append(np.broadcast_to(row, width).reshape(-1)[kept])
            columns.append(cols[kept])
            entries.append(value[kept])
    where = (np.concatenate(rows), np.concatenate(columns))
    size = (outs * count, int(np.prod(shape)))
    matrix = sparse.csr_matrix((np.concatenate(entries), where), shape=size)
    bias = np.zeros(outs) if len(rest) < 2 or rest[1] is None else np.asarray(rest[1])
    return matrix, np.repeat(bias.astype(np.float64), count), (1, outs, *sizes)


def averaging(shape: tuple[int, ...], settings: dict[str, Any], rest: list[Any]) -> Built:
    """The matrix of a pooling by average."""
    seen, sizes = _places(shape, list(settings["kernel_shape"]), settings)
    count = int(np.prod(sizes))
    inputs = np.stack([columns for _, columns in seen])
    inside = inputs >= 0
    number = len(seen) if settings.get("count_include_pad", 0) else inside.sum(0)
    outputs = np.broadcast_to(np.arange(shape[1] * count).reshape(shape[1], -1), inputs.shape)
    shares = np.broadcast_to(1.0 / np.maximum(number, 1), inputs.shape)
    where = (outputs[inside], inputs[inside])
    size = (shape[1] * count, int(np.prod(shape)))
    matrix = sparse.csr_matrix((shares[inside], where), shape=size)
    return matrix, np.zeros(shape[1] * count), (1, shape[1], *sizes)


def overall(shape: tuple[int, ...], settings: dict[str, Any], rest: list[Any]) -> Built:
    """The matrix of the average of each channel."""
    matrix, offset, sizes = averaging(shape, {"kernel_shape": list(shape[2:])}, rest)
    return matrix, offset, sizes
