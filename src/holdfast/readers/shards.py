"""A folder of shards, Parquet or tar: known as a whole, read a part at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, UntrustedFile
from holdfast.readers import parquet_shards, tar_shards
from holdfast.readers.archive import head
from holdfast.readers.origin import Origin
from holdfast.readers.stream import files

PART = 64 << 20  # bytes of the inputs of a part, as numbers of single precision
MOST = 1 << 16  # rows of a part


@dataclass(frozen=True)
class Part:
    """Some rows of one shard that are read together.

    Args:
        file: number of the shard.
        first: the first of them in the shard.
        count: how many.
        start: the first of them in the whole data set.
    """

    file: int
    first: int
    count: int
    start: int


class Shards:
    """Rows in several files, in the order of their names; never all in memory.

    Its repr is its identity: contents, and no places. That is what keys of cells see of it.

    Args:
        files: the shards.
        rows: of each shard.
        size: rows of a part; it follows from the size of a row alone.
        seal: digest of all contents.
        target: the column of the class; empty for tar files.
        name: of the folder.
        keep: the folder for results row by row.
    """

    __slots__ = ("files", "keep", "name", "rows", "seal", "size", "target")

    def __init__(
        self, files: tuple[str, ...], rows: tuple[int, ...], size: int, seal: str,
        target: str = "", name: str = "shards", keep: str = ".holdfast/rows",
    ) -> None:  # fmt: skip
        self.files, self.rows, self.size, self.seal = files, rows, size, seal
        self.target, self.name, self.keep = target, name, keep

    def __repr__(self) -> str:
        return f"shards {self.seal} {self.target} in parts of {self.size}"

    def __len__(self) -> int:
        return sum(self.rows)

    def parts(self) -> Iterator[Part]:
        """All parts in order; each lies in one shard."""
        start = 0
        for file, count in enumerate(self.rows):
            for first in range(0, count, self.size):
                many = min(self.size, count - first)
                yield Part(file, first, many, start + first)
            start += count

    def read(self, part: Part) -> Batches:
        """The rows of a part; they keep their positions in the whole data set."""
        path = Path(self.files[part.file])
        if self.target:
            x, y = parquet_shards.rows(path, self.target, part.first, part.count)
        else:
            raw, y = tar_shards.rows(path, part.first, part.count)
            x = (raw / np.float32(255)).astype(np.float32)
        if len(y) != part.count:
            raise UntrustedFile(
                f"{path.name} has changed while it was read", fix="Give the command again.",
                code="E0431",
            )  # fmt: skip
        index = torch.arange(part.start, part.start + part.count)
        known = Origin(name=self.name, form="tensor" if self.target else "images", total=len(self))
        return Batches(x=torch.from_numpy(x), y=torch.from_numpy(y), index=index, truth=known)


def shards(source: str, target: str | None = None, keep: str = ".holdfast/rows") -> Shards:
    """Look at a folder of shards: which there are, how many rows each has, and their digest.

    Args:
        source: a folder, or one file.
        target: the column of the class in Parquet files, whole numbers from 0.
        keep: the folder for results row by row.

    Raises:
        ConfigError, UntrustedFile: what is wrong and how to repair it.
    """
    found = files(source)
    heads = [head(path) for path in found]
    name = Path(source).resolve().name
    if all(h.startswith(b"PAR1") for h in heads):
        own, width = parquet_shards.columns(found, target)
        counts = [parquet_shards.count(path) for path in found]
    elif all(h[257:262] == b"ustar" for h in heads):
        own, counts = "", [tar_shards.count(path) for path in found]
        first = next((p for p, n in zip(found, counts, strict=True) if n), None)
        width = 1 if first is None else tar_shards.rows(first, 0, 1)[0].size
    else:
        raise ConfigError(
            f"{source} holds other files than Parquet, or than tar, alone",
            fix="Leave shards of one kind in it; without --stream other data can be read.",
            code="E0131",
        )
    if not sum(counts):
        raise ConfigError("the data have no rows", fix="Check the files.", code="E0137")
    size = max(1, min(MOST, PART // (4 * width)))
    paths = tuple(str(path) for path in found)
    return Shards(paths, tuple(counts), size, _seal(found), own, name, keep)


def _seal(found: list[Path]) -> str:
    whole = hashlib.sha256()
    for path in found:
        with path.open("rb") as file:
            whole.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()
