"""Files of rows read block by block: CSV and TSV, Parquet, and npz; labels are not needed.

Nothing is guessed about types here: fields of a text file stay texts, and whoever compares them
decides by the reference what they are.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from holdfast.core.errors import ConfigError, UntrustedFile
from holdfast.readers.archive import GZIP, MAX_BYTES, head, is_zip
from holdfast.readers.packed_rows import Array, Block, packed
from holdfast.run.query import engine

MAX_LINE = 1 << 22
DELIMITERS = ",;\t|"


def blocks(path: Path, size: int, max_bytes: int = MAX_BYTES) -> Iterator[Block]:
    """The rows of a file, in order; of a table never more than one block is in memory.

    Args:
        path: of the file, recognised by its contents.
        size: rows of a block.
        max_bytes: no npz that unpacks to more is read.

    Raises:
        UntrustedFile: for what cannot be read without running code, or is damaged.
        ConfigError: for a file that holds something else.
    """
    first = head(path)
    if not first.strip():
        yield Block({}, 0)
    elif is_zip(path):
        yield from packed(path, size, max_bytes)
    elif first.startswith(b"PAR1"):
        yield from _parquet(path, size)
    elif first.startswith(b"\x80") or (b"\0" in first and not first.startswith(GZIP)):
        raise ConfigError(
            f"{path.name} is not a table", fix="Give CSV, Parquet, or npz.", code="E0138"
        )
    else:
        yield from _text(path, size)


@contextmanager
def _opened_text(path: Path) -> Iterator[TextIO]:
    file = gzip.open(path, "rb") if head(path, 2) == GZIP else path.open("rb")
    with file, io.TextIOWrapper(file, "utf-8-sig", "replace", newline="") as text:
        yield text


def _lines(file: TextIO, name: str) -> Iterator[str]:
    """Lines of a bounded length, so that no file fills the memory by having none."""
    while line := file.readline(MAX_LINE):
        if len(line) >= MAX_LINE:
            raise UntrustedFile(
                f"{name} has a line of more than {MAX_LINE:,} characters",
                fix="Save it as CSV with a header line, or as Parquet.", code="E0414",
            )  # fmt: skip
        yield line


def _text(path: Path, size: int) -> Iterator[Block]:
    try:
        with _opened_text(path) as file:
            lines = _lines(file, path.name)
            start = next(lines)
            mark = max(DELIMITERS, key=lambda d: _fields(start, d))
            names = [n.strip() for n in next(csv.reader([start], delimiter=mark))]
            _distinct(names, path.name)
            rows: list[list[str]] = []
            damaged, given = 0, False
            for row in csv.reader(lines, delimiter=mark):
                if not row and len(names) > 1:  # an empty line; in one column it is a gap
                    continue
                damaged += len(row or [""]) != len(names)
                rows.append(row or [""])
                if len(rows) == size:
                    yield _rows(names, rows, damaged)
                    rows, damaged, given = [], 0, True
            if rows or not given:
                yield _rows(names, rows, damaged)
    except (csv.Error, OSError, EOFError, zlib.error) as error:
        raise UntrustedFile(
            f"{path.name} cannot be read as a table: {error}",
            fix="Save it as CSV with a header line, or as Parquet.", code="E0414",
        ) from None  # fmt: skip


def _fields(header: str, delimiter: str) -> int:
    """Into how many names a delimiter cuts the header; none if it cuts through quotes."""
    names = next(csv.reader([header], delimiter=delimiter))
    return 0 if any('"' in n for n in names) else len(names)


def _rows(names: list[str], rows: list[list[str]], damaged: int) -> Block:
    """Columns of texts; fields that a row lacks are None, those that it has too many are left."""
    wide = len(names)
    if damaged:
        rows = [[*row[:wide], *([None] * (wide - len(row)))] for row in rows]  # type: ignore[list-item]
    table = np.empty((len(rows), wide), object)
    if rows:
        table[:] = rows
    return Block({name: table[:, j] for j, name in enumerate(names)}, len(rows), damaged)


def _distinct(names: list[str], file: str) -> None:
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ConfigError(
            f"{file} has two columns {twice[0]!r}", fix="Give each column a name of its own.",
            code="E0138",
        )  # fmt: skip


def _parquet(path: Path, size: int) -> Iterator[Block]:
    import duckdb

    # A glob character in the name of the file would make DuckDB read other files.
    name = "".join(f"[{c}]" if c in "*?[" else c for c in str(path.resolve()))
    try:
        with engine() as base:
            table = base.read_parquet(name)
            ((count,),) = table.aggregate("count(*)").fetchall()
            wanted = ", ".join(
                f"CAST({_quoted(c)} AS {'DOUBLE' if _numeric(str(t)) else 'VARCHAR'}) "
                f"AS {_quoted(c)}"
                for c, t in zip(table.columns, table.types, strict=True)
            )
            kinds = [_numeric(str(t)) for t in table.types]
            for start in range(0, max(count, 1), size):
                found = table.limit(size, start).project(wanted).fetchnumpy()
                columns = {
                    c: _plain(found[c], numeric)
                    for c, numeric in zip(table.columns, kinds, strict=True)
                }
                yield Block(columns, min(size, count - start))
    except duckdb.Error as error:
        raise UntrustedFile(
            f"{path.name} cannot be read as a table: {str(error).splitlines()[0]}",
            fix="Save it as CSV with a header line, or as Parquet.", code="E0414",
        ) from None  # fmt: skip


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _numeric(kind: str) -> bool:
    return kind.startswith(("DECIMAL", "HUGEINT", "UHUGEINT")) or kind in (
        "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER",
        "UBIGINT", "FLOAT", "DOUBLE",
    )  # fmt: skip


def _plain(values: Any, numeric: bool) -> Array:
    gaps = np.ma.getmaskarray(values)
    there = np.ma.getdata(values)
    if numeric:
        return np.where(gaps, np.nan, there.astype(np.float64))
    found = there.astype(object)
    found[gaps] = None
    return found
