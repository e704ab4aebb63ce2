"""One question to one database in memory, in a process of its own that can be ended.

Read and answered as JSON over the standard streams. Tables are filled first; then access to
anything outside is switched off and the configuration locked, so no statement can reach a file,
the network or an extension. Imports nothing of ours: the process starts quickly and holds nothing
that a question could find.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

MEMORY = "256MB"
ROOM = 3 << 30  # bytes of address space for the process as a whole
LETTERS = 2000  # of one value
_LOCKED = (
    "SET enable_external_access = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET python_enable_replacements = false",
    "SET lock_configuration = true",
)


def _held(seconds: float) -> None:
    """Let the kernel end what takes too much memory or processor time."""
    try:
        import resource
    except ImportError:  # not on Windows: the one who asks still ends the process
        return
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    whole = int(seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _fill(link: Any, name: str, columns: dict[str, str], rows: list[list[Any]]) -> None:
    listed = ", ".join(f'"{k}" {kind}' for k, kind in columns.items())
    link.execute(f'CREATE TABLE "{name}" ({listed})')
    if rows:
        each = [list(column) for column in zip(*rows, strict=True)]
        spread = ", ".join(f"unnest(?::{kind}[])" for kind in columns.values())
        link.execute(f'INSERT INTO "{name}" SELECT {spread}', each)


def _load(link: Any, parts: list[list[str]], most: int) -> None:
    """Rows of Parquet as one table, sweeps side by side: loaded now, for no file is read later."""
    for place, files in enumerate(parts):
        safe = ["".join(f"[{c}]" if c in "*?[" else c for c in f) for f in files]
        words = f"CREATE TABLE part{place} AS SELECT * FROM read_parquet(?) WHERE row < {most}"
        link.execute(words, [safe])
    known: set[str] = set()
    told, joined = [], ""
    for place in range(len(parts)):
        columns = [c[0] for c in link.execute(f"DESCRIBE part{place}").fetchall()]
        told += [f'part{place}."{c}"' for c in columns if c not in known]
        known |= set(columns)
        joined += f" JOIN part{place} USING (row)" if place else "part0"
    if parts:
        link.execute(f"CREATE TABLE rows AS SELECT {', '.join(told)} FROM {joined} ORDER BY row")
        for place in range(len(parts)):
            link.execute(f"DROP TABLE part{place}")


def _word(value: Any) -> Any:
    """A value that JSON knows; what is long is cut."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    plain = str(value)
    return plain if len(plain) <= LETTERS else plain[: LETTERS - 1] + "\u2026"


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """The columns and first rows of the answer, or what is wrong with the question."""
    import duckdb

    link = duckdb.connect(":memory:")
    link.execute(f"SET memory_limit = '{MEMORY}'")
    link.execute("SET threads = 1")
    link.execute("SET max_temp_directory_size = '0KB'")
    for name, columns in asked["columns"].items():
        _fill(link, name, columns, asked["rows"].get(name, []))
    try:
        _load(link, asked.get("parts", []), asked.get("most_rows", 0))
        for statement in _LOCKED:
            link.execute(statement)
        found = link.extract_statements(asked["question"])
        if len(found) != 1:
            return {"wrong": f"Ask one question at a time; these are {len(found)}."}
        if found[0].type != duckdb.StatementType.SELECT:
            kind = str(found[0].type).rpartition(".")[2].replace("_", " ")
            return {"wrong": f"Only SELECT can be asked here; this is {kind}."}
        done = link.execute(found[0])
        columns = [(str(d[0]), str(d[1])) for d in done.description or ()]
        rows = done.fetchmany(asked["most"] + 1)
    except (duckdb.Error, MemoryError, ValueError, OverflowError) as error:
        return {"wrong": str(error)[:LETTERS] or "It needs more memory than there is."}
    cut = len(rows) > asked["most"]
    told = [[_word(v) for v in row] for row in rows[: asked["most"]]]
    return {"columns": columns, "rows": told, "cut": cut}


def main() -> None:
    """Read a question from the standard input and write its answer to the standard output."""
    asked = json.loads(sys.stdin.buffer.read())
    _held(asked["seconds"])
    sys.stdout.write(json.dumps(answer(asked)))


if __name__ == "__main__":
    main()
