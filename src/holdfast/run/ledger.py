"""The ledger: which runs there were, which cells they hold and what was read off them.

SQLite in WAL mode: each entry is one transaction, so a process that dies at any moment leaves
whole entries only, and several processes write and read side by side.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from holdfast.core.errors import ConfigError
from holdfast.core.records import Outcome
from holdfast.run.writing import plain

SCHEMA = 1
_ROOM = 1 << 20  # bytes that a transaction and its shared memory may take
_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
  id TEXT PRIMARY KEY, number INTEGER NOT NULL, identity TEXT NOT NULL, model TEXT NOT NULL,
  suite TEXT NOT NULL, state TEXT NOT NULL, started TEXT NOT NULL, finished TEXT, word TEXT,
  code INTEGER, options TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cells (
  run TEXT NOT NULL, cell TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
  seconds REAL NOT NULL, PRIMARY KEY (run, name, cell));
CREATE TABLE IF NOT EXISTS readings (
  run TEXT NOT NULL, cell TEXT NOT NULL, place INTEGER NOT NULL, name TEXT NOT NULL, value REAL,
  low REAL, high REAL, n INTEGER, bound TEXT, unit TEXT, threat TEXT,
  PRIMARY KEY (run, cell, place));
CREATE INDEX IF NOT EXISTS readings_name ON readings (name);
"""


@dataclass(frozen=True)
class RunRow:
    """One line of `holdfast ls`."""

    id: str
    number: int
    identity: str
    model: str
    suite: str
    state: str  # running, partial, finished
    started: str
    finished: str | None
    word: str | None
    code: int | None
    options: dict[str, Any]


def _to_wal(link: sqlite3.Connection) -> None:
    """Switch to WAL; the switch itself does not wait for other processes, so try again."""
    for pause in (0.01, 0.05, 0.2, 1.0, None):
        try:
            link.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if pause is None:
                raise
            time.sleep(pause)


def _of_the_disk(error: sqlite3.DatabaseError, folder: Path) -> int:
    """The system's number for what a disk refused; 0 if the fault is the file's own."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    known = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_READONLY: errno.EROFS,
             sqlite3.SQLITE_CANTOPEN: errno.EACCES}  # fmt: skip
    if code == sqlite3.SQLITE_IOERR and shutil.disk_usage(folder).free < _ROOM:
        return errno.ENOSPC  # said of its shared memory, which takes room too
    return known.get(code, 0)


class Ledger:
    """The index of everything a store holds; may be deleted, the runs' folders stay readable.

    Args:
        path: the database file; made when it is first written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own for one transaction: nothing is shared between processes."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        link = sqlite3.connect(self.path, timeout=30.0, isolation_level=None)
        try:
            _to_wal(link)
            link.execute("PRAGMA synchronous=NORMAL")
            link.execute("BEGIN IMMEDIATE")
            version = link.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA:
                raise ConfigError(
                    f"ledger: {self.path.name} was written by a newer holdfast (schema {version})",
                    fix="Upgrade holdfast, or name another folder with --store.",
                )
            if version < SCHEMA:
                for statement in _TABLES.split(";"):
                    link.execute(statement)
                link.execute(f"PRAGMA user_version={SCHEMA}")
            yield link
            link.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if number := _of_the_disk(error, self.path.parent):
                raise OSError(number, os.strerror(number), str(self.path)) from error
            raise ConfigError(
                f"ledger: {self.path.name} cannot be used ({error})",
                fix="Move it away; finished cells are kept beside it and stay valid.",
                code="E0126",
            ) from error
        finally:
            link.close()  # an open transaction is rolled back

    def open_run(
        self, name: str, identity: str, model: str, suite: str, started: str,
        options: dict[str, Any],
    ) -> None:  # fmt: skip
        """Enter a run, or take an entered one up again."""
        with self._open() as link:
            number = link.execute("SELECT coalesce(max(number), 0) + 1 FROM runs").fetchone()[0]
            link.execute(
                "INSERT INTO runs VALUES (?,?,?,?,?,'running',?,NULL,NULL,NULL,?)"
                " ON CONFLICT (id) DO UPDATE SET state='running', number=excluded.number,"
                " started=excluded.started, options=excluded.options",
                (name, number, identity, model, suite, started, json.dumps(options)),
            )

    def add(self, run: str, outcome: Outcome) -> None:
        """Enter what became of a cell; entering it again changes nothing."""
        state = "error" if outcome.error else "skipped" if outcome.skipped else "done"
        with self._open() as link:
            link.execute(
                "INSERT OR REPLACE INTO cells VALUES (?,?,?,?,?)",
                (run, outcome.cell, outcome.check, state, outcome.seconds),
            )
            link.executemany(
                "INSERT OR REPLACE INTO readings VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                [
                    (run, outcome.cell, place, r.name, plain(r.value), plain(r.low),
                     plain(r.high), r.n, r.bound, r.unit, r.threat)
                    for place, r in enumerate(outcome.readings)
                ],
            )  # fmt: skip

    def close_run(self, name: str, finished: str, state: str, word: str, code: int) -> None:
        """Enter how a run ended."""
        with self._open() as link:
            link.execute(
                "UPDATE runs SET finished=?, state=?, word=?, code=? WHERE id=?",
                (finished, state, word, code, name),
            )

    def runs(self) -> list[RunRow]:
        """All runs, the oldest first."""
        if not self.path.is_file():
            return []
        with self._open() as link:
            rows = link.execute("SELECT * FROM runs ORDER BY number").fetchall()
        names = [f.name for f in fields(RunRow)]
        table = [dict(zip(names, row, strict=True)) for row in rows]
        return [RunRow(**(row | {"options": json.loads(row["options"])})) for row in table]

    def numbers(
        self, runs: Sequence[str]
    ) -> dict[str, dict[str, tuple[float | None, float | None, float | None]]]:
        """(value, low, high) of every reading of some runs, by run and name."""
        if not self.path.is_file() or not runs:
            return {}
        places = ",".join("?" * len(runs))
        with self._open() as link:
            found = link.execute(
                "SELECT run, name, value, low, high FROM readings"
                f" WHERE run IN ({places}) ORDER BY run, cell, place",
                list(runs),
            ).fetchall()
        table: dict[str, dict[str, tuple[float | None, float | None, float | None]]] = {}
        for run, name, *ends in found:
            table.setdefault(run, {})[name] = (ends[0], ends[1], ends[2])
        return table

    def history(self, name: str) -> list[tuple[str, float | None]]:
        """(run, value) of every reading of a name, the oldest run first."""
        if not self.path.is_file():
            return []
        with self._open() as link:
            return link.execute(
                "SELECT run, value FROM readings JOIN runs ON runs.id = run WHERE name=?"
                " ORDER BY number, place",
                (name,),
            ).fetchall()
