"""The one way to DuckDB: in memory, no extensions from elsewhere, nothing left in the folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def engine(*, threads: int = 2, memory: str = "") -> Iterator[Any]:
    """A connection to a database of its own; what does not fit goes where temporary files go.

    Args:
        threads: that it may use.
        memory: that it may take, as `1GB`; its own rule unless given.
    """
    import duckdb

    settings: dict[str, Any] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "temp_directory": tempfile.gettempdir(),
        "threads": str(threads),
    }
    if memory:
        settings["memory_limit"] = memory
    with duckdb.connect(":memory:", config=settings) as base:
        yield base
