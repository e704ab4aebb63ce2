"""The SQL box answers questions about a run, and reaches nothing else whatever is asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.report import sample
from tests.serve import shop

from holdfast.run.partitions import Partitions
from holdfast.serve.engine import answer
from holdfast.serve.gathered import asked_of, parts
from holdfast.serve.question import Answer, ask
from holdfast.serve.shelf import Shelf
from holdfast.serve.tables import TABLES, tables

RESULTS, RUN = sample.results(), sample.run() | {"checks": {"check:clean": 0.4}}


def asked(question: str, **more: float) -> Answer:
    return ask(question, RESULTS, RUN, **more)


def inside(question: str) -> dict[str, Any]:
    """The same engine without a process of its own, which takes most of the time."""
    rows = tables(RESULTS, RUN)
    return answer({"question": question, "columns": TABLES, "rows": rows, "most": 500})


def test_numbers_can_be_asked():
    found = asked("SELECT name, value, n FROM numbers WHERE name LIKE 'attacks.worst%' ORDER BY 2")
    assert found.columns == (("name", False), ("value", True), ("n", True)) and not found.wrong
    assert found.rows[0] == ("attacks.worst@linf:8/255", "0.312", "360")


def test_every_table_holds_what_the_document_says():
    rows = tables(RESULTS, RUN)
    assert rows.keys() == TABLES.keys()
    for name, columns in TABLES.items():
        assert rows[name] and {len(r) for r in rows[name]} == {len(columns)}, name
    union = " UNION ALL ".join(f"SELECT '{n}', count(*) FROM {n}" for n in TABLES)
    found = {name: int(count) for name, count in asked(union).rows}
    assert found == {name: len(lines) for name, lines in rows.items()}
    assert asked("SELECT seconds FROM checks WHERE check_name = 'clean'").rows == (("0.4",),)


def test_an_empty_document_gives_empty_tables():
    assert ask("SELECT count(*) FROM numbers", {}, {}).rows == (("0",),)
    hostile = {"outcomes": [{"findings": [{"rows": [2**70, "x", True, 3], "readings": [7]}]}]}
    found = ask("SELECT row_number FROM broken_rows", hostile, {})
    assert found.rows == (("3",),)


@pytest.mark.parametrize(
    "question",
    [
        "COPY numbers TO '{out}'", "COPY (SELECT 1) TO '{out}'", "ATTACH '{out}' AS a",
        "EXPORT DATABASE '{out}'", "INSTALL httpfs", "LOAD httpfs", "PRAGMA version",
        "PRAGMA database_list", "SET memory_limit = '9GB'", "SET lock_configuration = false",
        "SET enable_external_access = true", "RESET enable_external_access",
        "CALL pragma_version()",
        "CREATE TABLE a (x INT)", "CREATE MACRO f() AS 1", "DELETE FROM numbers",
        "DROP TABLE gates",
        "UPDATE numbers SET value = 1", "INSERT INTO gates SELECT * FROM gates", "VACUUM",
        "BEGIN TRANSACTION", "PREPARE q AS SELECT 1", "EXECUTE q", "DETACH memory", "CHECKPOINT",
        "SELECT 1; SELECT 2", "SELECT 1; COPY numbers TO '{out}'",
        "COPY numbers TO '{out}'; SELECT 1",
        "EXPLAIN ANALYZE SELECT 1", "IMPORT DATABASE '/tmp'", "USE memory",
        "CREATE SECRET s (TYPE s3)", "SELECT 1 INTO x", "-- nothing", ";",
    ],
)  # fmt: skip
def test_anything_but_one_select_is_refused(question, tmp_path):
    found = inside(question.format(out=tmp_path / "out"))
    assert found.keys() == {"wrong"} and found["wrong"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "question",
    [
        "SELECT * FROM read_csv('{file}')", "SELECT * FROM read_csv_auto('{file}')",
        "SELECT * FROM '{file}'", "FROM '{file}'", "SELECT * FROM read_text('{file}')",
        "SELECT * FROM read_blob('{file}')", "SELECT * FROM read_json('{file}')",
        "SELECT * FROM read_json_objects('{file}')", "SELECT * FROM read_parquet('{file}')",
        "SELECT * FROM parquet_scan('{file}')", "SELECT * FROM sniff_csv('{file}')",
        "SELECT * FROM glob('{folder}/*')", "SELECT * FROM query_table('{file}')",
        "FROM query('SELECT * FROM read_text(''{file}'')')", "SELECT getenv('HOME')",
        "SELECT * FROM 'https://example.org/a.csv'", "SELECT * FROM read_csv('http://127.0.0.1:1/')",
        "SELECT * FROM parquet_metadata('{file}')", "SELECT * FROM duckdb_secrets()",
        "FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{file}'')'))",
        "SELECT * FROM sqlite_scan('{file}', 't')", "SELECT * FROM asked", "SELECT * FROM os",
    ],
)  # fmt: skip
def test_no_file_variable_or_address_can_be_read(question, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("word\nsesame\n")
    found = inside(question.format(file=secret, folder=tmp_path))
    assert found.keys() == {"wrong"} and "sesame" not in repr(found)


def test_nothing_outlives_a_question_and_the_parents_words_are_not_inherited(monkeypatch):
    monkeypatch.setenv("HOLDFAST_SECRET", "sesame")
    assert not asked("SELECT count(*) FROM duckdb_settings()").wrong
    every = asked("SELECT name, value FROM duckdb_settings()")
    assert "sesame" not in repr(every)
    held = dict(every.rows)
    assert held["enable_external_access"].lower() == "false"
    assert held["lock_configuration"].lower() == "true"
    assert os.environ["HOLDFAST_SECRET"] == "sesame"


@pytest.mark.parametrize(
    "question",
    [
        "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
        "SELECT list(range) FROM range(1000000000)",
        "SELECT repeat('x', 4000000000) || repeat('y', 4000000000)",
    ],
)
def test_what_takes_too_long_or_too_much_is_ended(question):
    found = asked(question, seconds=0.8)
    assert found.wrong and not found.rows


def test_answers_are_bounded(tmp_path):
    found = asked("SELECT range, repeat('x', 5000) FROM range(100000)", most=20)
    assert len(found.rows) == 20 and found.cut
    assert max(len(c) for row in found.rows for c in row) <= 2000
    assert asked("SELECT 1 -- " + "x" * 10_001).wrong
    assert asked("  ").wrong


def test_odd_values_are_words():
    found = asked(
        "SELECT NULL, 'nan'::DOUBLE, 'inf'::DOUBLE, true, [1, 2], DATE '2026-01-02', 1/3.0"
    )
    assert found.rows == (("–", "nan", "inf", "yes", "[1, 2]", "2026-01-02", "0.333333"),)


def test_the_engine_knows_nothing_of_ours():
    source = Path(__file__).parents[2] / "src/holdfast/serve/engine.py"
    assert "holdfast" not in source.read_text()


def wide(shelf: Shelf, run: str, question: str) -> Answer:
    return ask(question, **asked_of(shelf, run, question))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """A store in which one run has swept rows, in two sweeps of two parts."""
    root = tmp_path_factory.mktemp("asked") / ".holdfast"
    store = shop.filled(root)
    keys = {"check:clean": "a" * 64, "check:worst-case": "b" * 64}
    store.keep(shop.NEW, "run.json", sample.run() | {"rows": keys})
    clean, worst = (Partitions(root / "rows" / key) for key in keys.values())
    clean.fill(PARTS, lambda k: {"row": row(k), "y": row(k) % 2, "correct": row(k) > 0})
    worst.fill(PARTS, lambda k: {"row": row(k), "stands0": row(k) > 2})
    return Shelf(root)


PARTS = [(0, 3), (3, 3)]


def row(part: int) -> torch.Tensor:
    return torch.arange(3 * part, 3 * part + 3)


def test_rows_of_a_streamed_run_can_be_asked_beside_each_other(shelf):
    found = wide(shelf, shop.NEW, "SELECT count(*), count(row), count(stands0), max(y) FROM rows")
    assert found.rows == (("6", "6", "6", "1"),)
    found = wide(shelf, shop.NEW, "SELECT * FROM rows WHERE row = 3")
    assert [name for name, _ in found.columns] == ["row", "y", "correct", "stands0"]
    assert wide(shelf, shop.OLD, "SELECT * FROM rows").wrong, "that run kept none"


def test_several_runs_can_be_asked_at_once(shelf):
    found = wide(shelf, shop.NEW, "SELECT run, verdict FROM runs ORDER BY run LIMIT 1")
    assert found.rows == ((shop.OLD, "NOT READY"),)
    found = wide(
        shelf, shop.NEW,
        "SELECT a.value > b.value FROM all_numbers a JOIN all_numbers b USING (name)\n"
        f"WHERE a.run = '{shop.NEW}' AND b.run = '{shop.OLD}'\n"
        "AND name = 'attacks.worst@linf:8/255'",
    )  # fmt: skip
    assert found.rows == (("yes",),)
    verdicts = wide(shelf, shop.NEW, "SELECT count(DISTINCT run) FROM all_gates").rows
    assert verdicts == (("4",),)


@pytest.mark.parametrize("key", ["../runs", "a" * 63, "c" * 64, 7, None, "A" * 64])
def test_no_key_of_a_run_leads_to_other_files(shelf, key):
    assert parts(shelf, {"rows": {"check:clean": key}}, "FROM rows") == []
    assert parts(shelf, {"rows": {"check:clean": "a" * 64}}, "FROM gates") == []


def test_a_link_among_the_rows_is_not_followed(shelf, tmp_path):
    secret = tmp_path / "part-000000000000.parquet"
    secret.write_bytes(b"PAR1")
    folder = shelf.root / "rows" / ("d" * 64)
    folder.mkdir()
    (folder / secret.name).symlink_to(secret)
    (shelf.root / "rows" / ("e" * 64)).symlink_to(tmp_path)
    for key in ("d" * 64, "e" * 64):
        assert parts(shelf, {"rows": {"check:clean": key}}, "FROM rows") == []


@pytest.mark.parametrize("words", ["read_parquet('{}')", "'{}'"])
def test_files_stay_out_of_reach_after_rows_were_loaded(shelf, words):
    (one, *_), *_ = parts(shelf, shelf.facts(shop.NEW), "rows")
    found = wide(shelf, shop.NEW, f"SELECT * FROM rows, {words.format(one)}")
    assert found.wrong and not found.rows
