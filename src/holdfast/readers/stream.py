"""A stream of rows cut into windows: a file, a folder of files in name order, one after another."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from holdfast.core.errors import ConfigError, ShapeError
from holdfast.measures.data.columns import Window
from holdfast.readers.archive import MAX_BYTES
from holdfast.readers.blocks import blocks
from holdfast.readers.packed_rows import Array, Block

SIZE = 20_000


def files(source: str) -> list[Path]:
    """The files of a stream in the order of their names, numbers in them by their size.

    Raises:
        ConfigError: if there is none.
    """
    path = Path(source)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ConfigError(
            f"there is no file or folder {source!r}",
            fix="Give CSV, Parquet or npz, or a folder of them.", code="E0139",
        )  # fmt: skip
    found = [p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")]
    if not found:
        raise ConfigError(
            f"the folder {source} holds no file", fix="Give CSV, Parquet or npz.", code="E0139"
        )
    return sorted(found, key=lambda p: (_natural(p.name), p.name))


def _natural(name: str) -> list[tuple[bool, int, str]]:
    parts = re.split(r"([0-9]+)", name)
    return [(p.isdigit(), int(p) if p.isdigit() else 0, p) for p in parts]


def windows(
    source: str,
    *,
    rows: int | None = None,
    limit: int | None = None,
    ignore: Collection[str] = (),
    seed: int = 0,
    max_bytes: int = MAX_BYTES,
) -> Iterator[Window]:
    """The windows of a stream, each read when it is asked for.

    Args:
        source: a file, or a folder of files.
        rows: of a window; every file is cut by itself, the last window of it may be shorter.
            Without it each file is one window.
        limit: look at no more rows of a window than that, drawn at random.
        ignore: columns to leave out.
        seed: of the draw.
        max_bytes: no npz that unpacks to more is read.
    """
    for path in files(source):
        if rows is None:
            kept = _Kept(limit, seed)
            for block in blocks(path, SIZE, max_bytes):
                kept.add(block, path.name)
            yield kept.window(path.name, ignore)
            continue
        start = 0
        for block in blocks(path, rows, max_bytes):
            kept = _Kept(limit, seed)
            kept.add(block, path.name)
            yield kept.window(f"{path.name}:{start + 1}-{start + block.n}", ignore)
            start += block.n


def whole(
    source: str, *, limit: int | None = None, ignore: Collection[str] = (), seed: int = 0,
    max_bytes: int = MAX_BYTES,
) -> Window:  # fmt: skip
    """All rows of a file or folder as one window, the reference of a stream.

    Raises:
        ShapeError: if its files differ in their columns, or rows in their number of fields.
    """
    kept = _Kept(limit, seed)
    for path in files(source):
        for block in blocks(path, SIZE, max_bytes):
            kept.add(block, path.name)
    found = kept.window(Path(source).name, ignore)
    if found.damaged:
        raise ShapeError(
            f"{found.name}: {found.damaged} rows do not have one field for every column",
            fix="Repair the reference.", code="E0209",
        )  # fmt: skip
    return found


class _Kept:
    """A sample of all rows that were added, in their order; memory is that of the sample."""

    def __init__(self, limit: int | None, seed: int) -> None:
        self.limit, self.draw = limit, np.random.default_rng(seed)
        self.block: Block | None = None
        self.keys: Array = np.zeros(0)
        self.whole = self.damaged = 0

    def add(self, block: Block, name: str) -> None:
        """Every row draws a key; those of the smallest keys stay."""
        self.whole, self.damaged = self.whole + block.n, self.damaged + block.damaged
        keys = self.draw.random(block.n)
        if self.block is not None and block.n:
            if self.block.n and set(self.block.columns) != set(block.columns):
                odd = sorted(set(self.block.columns) ^ set(block.columns))
                raise ShapeError(
                    f"{name}: column {odd[0]!r} is not in every file", fix="Take it out, or "
                    f"--ignore {odd[0]}", code="E0209",
                )  # fmt: skip
            if self.block.n:
                block, keys = _joined((self.block, block)), np.concatenate([self.keys, keys])
        elif self.block is not None:
            return
        if self.limit is not None and block.n > self.limit:
            chosen = np.sort(np.argpartition(keys, self.limit)[: self.limit])
            block, keys = _taken(block, chosen), keys[chosen]
        self.block, self.keys = block, keys

    def window(self, name: str, ignore: Collection[str]) -> Window:
        block = self.block if self.block is not None else Block({}, 0)
        columns = {k: v for k, v in block.columns.items() if k not in ignore}
        return Window(name, columns, block.n, self.whole, self.damaged, block.x)


def _taken(block: Block, rows: Array) -> Block:
    x = None if block.x is None else block.x[torch.from_numpy(rows)]
    return Block({k: v[rows] for k, v in block.columns.items()}, len(rows), x=x)


def _joined(parts: Iterable[Block]) -> Block:
    first, second = parts
    x = None
    if first.x is not None and second.x is not None:
        x = torch.cat([first.x, second.x])
    columns = {k: np.concatenate([v, second.columns[k]]) for k, v in first.columns.items()}
    return Block(columns, first.n + second.n, x=x)
