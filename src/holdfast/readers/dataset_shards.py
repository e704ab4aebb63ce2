"""The files of a data set folder: columns with their types, and rows piece by piece.

Parquet goes through DuckDB, in memory and without extensions; Arrow streams need pyarrow (extra
`hf`). Neither runs anything, and no more is unpacked than the limit allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from holdfast.core.errors import ConfigError, MissingExtra, UntrustedFile
from holdfast.readers.archive import head
from holdfast.run.query import engine

PIECE = 512  # rows that are unpacked at once
ARROW = (b"\xff\xff\xff\xff", b"ARROW1")


class Shards(Protocol):
    """Files of equal columns, one after the other."""

    names: dict[str, str]

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """The values of some columns, row by row."""


@contextmanager
def _readable(what: str, *kinds: type[Exception]) -> Iterator[None]:
    try:
        yield
    except kinds as error:
        raise UntrustedFile(
            f"{what} cannot be read: {(str(error).splitlines() or ['damaged'])[0][:200]}",
            fix="Save the data set again, as Parquet: ds.to_parquet(file)",
            code="E0414",
        ) from None


class Parquet:
    """Parquet files.

    Args:
        files: in the order of their rows.
        max_bytes: of memory that DuckDB may take.

    Attributes:
        names: columns and their types.
    """

    def __init__(self, files: Sequence[Path], max_bytes: int) -> None:
        self.files, self.max_bytes = list(files), max_bytes
        with self._connected() as base:
            table = base.read_parquet(_literal(self.files))
            self.names = dict(zip(table.columns, map(str, table.types), strict=True))

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        import duckdb

        with (
            _readable(self.files[0].name, duckdb.Error),
            engine(memory=f"{max(self.max_bytes, 64 << 20)}B") as base,
        ):
            yield base

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        chosen = ", ".join('"' + c.replace('"', '""') + '"' for c in columns)
        with self._connected() as base:
            found = base.execute(f"select {chosen} from read_parquet(?)", [_literal(self.files)])
            while piece := found.fetchmany(PIECE):
                yield from piece


def _literal(files: Sequence[Path]) -> list[str]:
    """Names in which no glob character makes DuckDB read other files."""
    return ["".join(f"[{c}]" if c in "*?[" else c for c in str(f.resolve())) for f in files]


class Arrow:
    """Arrow streams, as `datasets` saves them.

    Args:
        files: in the order of their rows.

    Raises:
        MissingExtra: without pyarrow.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = list(files)
        try:
            pyarrow = import_module("pyarrow")
        except ImportError:
            raise MissingExtra(
                f"{self.files[0].name} is Arrow, and reading it needs the package pyarrow",
                fix="pip install 'holdfast[hf]', or save the data set as Parquet",
                code="E0603",
            ) from None
        self._wrong = (pyarrow.ArrowException, OSError, ValueError)
        with self._opened(self.files[0]) as stream:
            self.names = {f.name: str(f.type) for f in stream.schema}

    @contextmanager
    def _opened(self, file: Path) -> Iterator[Any]:
        pyarrow = import_module("pyarrow")
        whole = head(file, 6) == ARROW[1]
        with _readable(file.name, *self._wrong), pyarrow.memory_map(str(file)) as raw:
            yield pyarrow.ipc.open_file(raw) if whole else pyarrow.ipc.open_stream(raw)

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        for file in self.files:
            with self._opened(file) as stream:
                if missing := set(columns) - set(stream.schema.names):
                    raise ConfigError(
                        f"{file.name} has no column {min(missing)!r}, other files of the data set "
                        "have it",
                        fix="Save the data set again.", code="E0162",
                    )  # fmt: skip
                for batch in _batches(stream):
                    batch.validate(full=True)  # offsets may point anywhere
                    for start in range(0, batch.num_rows, PIECE):
                        piece = batch.slice(start, PIECE)
                        values = (piece.column(c).to_pylist() for c in columns)
                        yield from zip(*values, strict=True)


def _batches(stream: Any) -> Iterator[Any]:
    if hasattr(stream, "num_record_batches"):
        yield from (stream.get_batch(i) for i in range(stream.num_record_batches))
    else:
        yield from stream
