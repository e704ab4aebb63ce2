"""Rows of npz files as columns: tables, named columns, and pictures told by a few numbers."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from holdfast.core.errors import ConfigError, UntrustedFile
from holdfast.readers.archive import MAX_BYTES, checked_size, opened
from holdfast.readers.arrays import PAIRS, as_inputs, member

GRID = 3
LABEL = "label"

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows.

    Args:
        columns: by name: float64, or texts and None.
        n: rows.
        damaged: rows that did not have one field for every column.
        x: the rows as a tensor, where they are not a table.
    """

    columns: dict[str, Array]
    n: int
    damaged: int = 0
    x: torch.Tensor | None = None


def packed(path: Path, size: int, max_bytes: int = MAX_BYTES) -> Iterator[Block]:
    """Rows of an npz file: `x` (or images), or arrays of one axis that are columns.

    Args:
        path: of the file.
        size: rows of a block.
        max_bytes: no file that unpacks to more is read.

    Raises:
        UntrustedFile: for object arrays, zip bombs and broken archives.
        ConfigError: if it holds something else.
    """
    opened(path, max_bytes)
    with zipfile.ZipFile(path) as file:
        names = {n.removesuffix(".npy"): n for n in file.namelist() if n.endswith(".npy")}
        checked_size(path.name, sum(i.file_size for i in file.infolist()), path.stat().st_size,
                     max_bytes)  # fmt: skip
        try:
            arrays = {k: member(file, n, path.name) for k, n in names.items()}
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise UntrustedFile(
                f"{path.name} is damaged: {error}", fix="Save it again.", code="E0411"
            ) from None
    pair = next((p for p in PAIRS if p[0] in arrays), None)
    if pair is None:
        columns = {k: _array(v) for k, v in arrays.items() if v.ndim == 1}
        lengths = {len(v) for v in columns.values()}
        if len(lengths) != 1:
            raise ConfigError(
                f"{path.name} holds {', '.join(sorted(arrays)[:8]) or 'nothing'}; looked for x or "
                "images, or columns of one length",
                fix="numpy.savez(file, x=inputs)", code="E0138",
            )  # fmt: skip
        whole = Block(columns, lengths.pop())
    else:
        x = as_inputs(arrays[pair[0]])
        columns, y = described(x), arrays.get(pair[1])
        if y is not None and y.shape == (len(x),):
            columns[LABEL] = named(y)
        whole = Block(columns, len(x), x=x)
    for start in range(0, max(whole.n, 1), size):
        part = slice(start, start + size)
        yield Block(
            {k: v[part] for k, v in whole.columns.items()}, len(range(whole.n)[part]),
            x=None if whole.x is None else whole.x[part],
        )  # fmt: skip


def named(y: Array) -> Array:
    """Labels, as texts: they are names and not amounts."""
    found = np.empty(len(y), object)
    found[:] = [str(v) for v in y.tolist()]
    return found


def _array(values: Array) -> Array:
    return values.astype(np.float64) if values.dtype.kind in "iuf" else named(values)


def described(x: torch.Tensor) -> dict[str, Array]:
    """Columns of rows that are a tensor.

    Two axes: one column each. Pictures: brightness, contrast and sharpness of each channel, and
    the brightness of nine fields, rows of them from the top.

    Args:
        x: `(n, d)`, or `(n, C, H, W)`; other forms are flattened.
    """
    if x.dim() != 4:
        flat = x.reshape(len(x), -1).double().numpy()
        return {f"x{j}": flat[:, j] for j in range(flat.shape[1])}
    channels = x.shape[1]
    found = {}
    for c in range(channels):
        one, name = x[:, c].double(), f" {c}" if channels > 1 else ""
        found[f"brightness{name}"] = one.mean((1, 2))
        found[f"contrast{name}"] = one.flatten(1).std(1, correction=0)
        edges = [one.diff(dim=k).abs().flatten(1) for k in (1, 2)]
        both = torch.cat(edges, 1)
        found[f"sharpness{name}"] = both.mean(1) if both.shape[1] else both.sum(1)
    grid = torch.nn.functional.adaptive_avg_pool2d(x.double().mean(1, keepdim=True), GRID)[:, 0]
    for i in range(GRID):
        for j in range(GRID):
            found[f"field {i + 1},{j + 1}"] = grid[:, i, j]
    return {k: v.numpy() for k, v in found.items()}
