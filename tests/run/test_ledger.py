"""The ledger: whole entries only, many writers, honest about what it cannot read."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from holdfast.core.errors import ConfigError
from holdfast.core.records import Finding, Outcome, Reading, Severity
from holdfast.run.ledger import Ledger


def outcome(name: str, value: float = 0.5) -> Outcome:
    readings = tuple(
        Reading(name=f"{name}.{k}", value=value + k, low=value, high=value + 9, n=k) for k in (0, 1)
    )
    found = Finding(severity=Severity.INFO, says="It is so.", readings=readings)
    return Outcome(check=f"check:{name}", findings=(found,), cell=f"cell-{name}", seconds=1.0)


def opened(path: Path, run: str = "r") -> Ledger:
    ledger = Ledger(path)
    ledger.open_run(run, "whole", "net", "quick", "2026-01-02", {"data": "digits"})
    return ledger


def rows(path: Path, question: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as link:
        return link.execute(question).fetchall()


def test_it_is_written_ahead_and_reads_what_it_wrote(tmp_path):
    ledger = opened(tmp_path / "deep" / "ledger.sqlite")
    assert rows(ledger.path, "PRAGMA journal_mode") == [("wal",)]
    ledger.add("r", outcome("clean"))
    ledger.add("r", outcome("clean"))
    assert rows(ledger.path, "SELECT count(*) FROM cells") == [(1,)]
    assert ledger.history("clean.0") == [("r", 0.5)]
    ledger.close_run("r", "2026-01-03", "finished", "READY", 0)
    (run,) = ledger.runs()
    assert (run.state, run.word, run.code, run.options) == (
        "finished",
        "READY",
        0,
        {"data": "digits"},
    )


def test_a_run_taken_up_again_is_the_latest_and_keeps_its_identity(tmp_path):
    ledger = opened(tmp_path / "l", "a")
    ledger.open_run("b", "other", "net", "quick", "2026-01-02", {})
    assert [r.id for r in ledger.runs()] == ["a", "b"]
    ledger.open_run("a", "whole", "net", "quick", "2026-01-04", {"seed": 1})
    last = ledger.runs()[-1]
    assert (last.id, last.state, last.identity, last.options) == (
        "a",
        "running",
        "whole",
        {"seed": 1},
    )


def test_nothing_is_made_by_looking(tmp_path):
    ledger = Ledger(tmp_path / "l")
    assert ledger.runs() == [] and ledger.history("x") == []
    assert not ledger.path.exists()


def test_not_a_number_and_infinities_are_entered_as_nothing(tmp_path):
    ledger = opened(tmp_path / "l")
    ledger.add("r", outcome("odd", float("nan")))
    ledger.add("r", outcome("far", float("inf")))
    assert ledger.history("odd.0") == [("r", None)] and ledger.history("far.1") == [("r", None)]


def write_many(path: str, writer: int) -> None:
    ledger = Ledger(Path(path))
    for k in range(20):
        ledger.add("r", outcome(f"w{writer}-{k}"))


def test_several_processes_write_side_by_side(tmp_path):
    ledger = opened(tmp_path / "l")
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=write_many, args=(str(ledger.path), w)) for w in range(4)]
    for process in writers:
        process.start()
    while any(p.is_alive() for p in writers):  # a reader beside them sees whole entries only
        for name, count in rows(
            ledger.path, "SELECT c.cell, count(r.place) FROM cells c LEFT JOIN readings r"
            " ON c.cell = r.cell GROUP BY c.cell",
        ):  # fmt: skip
            assert count == 2, name
        time.sleep(0.01)
    for process in writers:
        process.join(60)
    assert [p.exitcode for p in writers] == [0] * 4
    assert rows(ledger.path, "SELECT count(*) FROM cells") == [(80,)]
    assert rows(ledger.path, "SELECT count(*) FROM readings") == [(160,)]


def write_forever(path: str) -> None:
    ledger, k = Ledger(Path(path)), 0
    while True:
        ledger.add("r", outcome(f"k{k}"))
        k += 1


@pytest.mark.parametrize("moment", [0.05, 0.11, 0.17, 0.23])
def test_a_writer_that_is_killed_leaves_whole_entries(tmp_path, moment):
    ledger = opened(tmp_path / "l")
    writer = multiprocessing.get_context("fork").Process(
        target=write_forever, args=(str(ledger.path),)
    )
    writer.start()
    time.sleep(moment)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(60)
    ledger.add("r", outcome("after"))
    assert rows(ledger.path, "PRAGMA integrity_check") == [("ok",)]
    cells = rows(ledger.path, "SELECT count(*) FROM cells")[0][0]
    assert rows(ledger.path, "SELECT count(*) FROM readings") == [(2 * int(str(cells)),)]


def test_a_full_disk_is_not_called_a_damaged_file(tmp_path, monkeypatch):
    ledger, connect = opened(tmp_path / "ledger.sqlite"), sqlite3.connect

    def small(*given, **more):
        link = connect(*given, **more)
        link.execute("PRAGMA max_page_count=1")  # no page can be added to what is there
        return link

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(OSError) as caught:
        for k in range(200):
            ledger.add("r", outcome(f"k{k}"))
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(ledger.path)
    monkeypatch.undo()
    assert rows(ledger.path, "PRAGMA integrity_check") == [("ok",)]
    ledger.add("r", outcome("after"))
    assert ledger.history("after.0") == [("r", 0.5)]


@pytest.mark.parametrize("content", [b"not a database", b"SQLite format 3\x00" + b"\x07" * 400])
def test_a_damaged_file_is_named_and_left_alone(tmp_path, content):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"ledger\.sqlite") as caught:
        Ledger(path).runs()
    assert "Move it away" in caught.value.fix and path.read_bytes() == content


def test_a_torn_file_is_named(tmp_path):
    ledger = opened(tmp_path / "ledger.sqlite")
    for k in range(60):
        ledger.add("r", outcome(f"k{k}"))
    with sqlite3.connect(ledger.path) as link:
        link.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw = ledger.path.read_bytes()
    ledger.path.write_bytes(raw[: len(raw) // 3])
    with pytest.raises(ConfigError, match=r"ledger\.sqlite"):
        ledger.history("k3.0")


def test_a_newer_schema_is_not_touched(tmp_path):
    ledger = opened(tmp_path / "l")
    with sqlite3.connect(ledger.path) as link:
        link.execute("PRAGMA user_version=99")
    with pytest.raises(ConfigError, match="newer"):
        ledger.runs()


def test_an_error_within_a_transaction_leaves_no_part_of_it(tmp_path, monkeypatch):
    ledger = opened(tmp_path / "l")
    broken = outcome("torn")
    monkeypatch.setattr("holdfast.run.ledger.plain", lambda value: {"not": "a number"})
    with pytest.raises(ConfigError):
        ledger.add("r", broken)
    assert rows(ledger.path, "SELECT count(*) FROM cells") == [(0,)]
