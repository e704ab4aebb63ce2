"""Results row by row, in one Parquet file for each part of the data; sums over all of them.

A file is written under another name and renamed, so a part is either whole or not there: a
sweep that was killed goes on with the first part that is missing. What is asked of all rows is
asked of the files, by a query that holds one group of rows at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from holdfast.core.errors import UntrustedFile
from holdfast.run.query import engine


@dataclass(frozen=True)
class Partitions:
    """A folder of parts that all hold the same columns.

    Args:
        folder: named by the digest of all that the rows depend on.
    """

    folder: Path

    def fill(
        self,
        starts: Iterable[tuple[int, int]],
        made: Callable[[int], Mapping[str, Tensor]],
        told: Callable[[int], None] = lambda rows: None,
    ) -> None:
        """Make every part that is not there yet.

        Args:
            starts: the first row of each part, and how many it has.
            made: columns of the part with this number.
            told: how many rows there are by now.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        done = 0
        for number, (start, many) in enumerate(starts):
            file = self.folder / f"part-{start:012d}.parquet"
            if _rows(file) != many:
                _put(file, made(number))
            done += many
            told(done)

    def ask(self, what: str, behind: str = "") -> list[tuple[Any, ...]]:
        """A query over all parts; sums in it should be of whole numbers, which are exact."""
        files = sorted(str(f) for f in self.folder.resolve().glob("part-*.parquet"))
        return _query(f"select {what} from read_parquet(?) {behind}", [list(map(_safe, files))])


def _safe(name: str) -> str:
    """A file name in which DuckDB finds no pattern."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _query(words: str, given: list[Any]) -> list[tuple[Any, ...]]:
    import duckdb

    try:
        with engine(threads=1, memory="1GB") as base:
            found: list[tuple[Any, ...]] = base.execute(words, given).fetchall()
            return found
    except duckdb.Error as error:
        raise UntrustedFile(
            f"rows: a part is damaged ({str(error).splitlines()[0]})",
            fix="Remove .holdfast/rows, and give the command again.", code="E0424",
        ) from None  # fmt: skip


def _rows(file: Path) -> int:
    """How many rows a part has; -1 where it is not there or damaged."""
    if not file.is_file():
        return -1
    try:
        ((count,),) = _query("select count(*) from read_parquet(?)", [_safe(str(file.resolve()))])
    except UntrustedFile:
        return -1
    return int(count)


def _put(file: Path, columns: Mapping[str, Tensor]) -> None:

    rows = {name: values.numpy() for name, values in columns.items()}
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with engine(threads=1, memory="1GB") as base:
            base.register("rows", rows)
            target = str(part).replace("'", "''")
            base.execute(f"copy (select * from rows) to '{target}' (format parquet)")
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
