"""Questions in SQL about a run: asked in a process of its own, ended when it takes too long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.report.document import Document, text
from holdfast.serve.gathered import MOST_ROWS, WIDER
from holdfast.serve.tables import TABLES, Rows, tables

SECONDS, MOST, LONGEST = 10.0, 500, 10_000
_ENGINE = Path(__file__).with_name("engine.py")
_ONE = threading.Semaphore(2)  # questions at once
_NUMERIC = ("INT", "DOUBLE", "FLOAT", "DECIMAL", "NUMBER")


@dataclass(frozen=True)
class Answer:
    """What came back.

    Args:
        columns: name of each column and whether it holds numbers.
        rows: values, in the order of the columns.
        cut: whether there are more rows than are shown.
        wrong: what is wrong with the question, empty if nothing is.
    """

    columns: tuple[tuple[str, bool], ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    cut: bool = False
    wrong: str = ""


def ask(question: str, results: Document, run: Document, *, seconds: float = SECONDS,
        most: int = MOST, wider: Mapping[str, Rows] | None = None,
        parts: Sequence[Sequence[str]] = ()) -> Answer:  # fmt: skip
    """The answer to one SELECT about one run, and what else was gathered for it.

    Nothing outlives a question: each gets a process and a database of its own, which holds the
    numbers of this run and cannot reach anything else.

    Args:
        question: one SELECT statement.
        results: the document `results.json`.
        run: the document `run.json`.
        seconds: after which the process is ended.
        most: rows of the answer.
        wider: tables over all runs.
        parts: Parquet files of each sweep over rows.
    """
    if not question.strip():
        return Answer(wrong="Write a SELECT statement.")
    if len(question) > LONGEST:
        return Answer(wrong=f"A question holds at most {LONGEST:,} letters.")
    asked = {
        "question": question, "columns": TABLES | {k: WIDER[k] for k in wider or ()},
        "rows": tables(results, run) | dict(wider or {}), "most": most, "seconds": seconds,
        "parts": [list(p) for p in parts], "most_rows": MOST_ROWS,
    }  # fmt: skip
    with _ONE:
        return _told(json.dumps(asked), seconds)


def _told(asked: str, seconds: float) -> Answer:
    kept = ("PATH", "PYTHONPATH", "PYTHONHOME", "SYSTEMROOT", "VIRTUAL_ENV", "HOME")
    own = {k: os.environ[k] for k in kept if k in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_ENGINE)], input=asked.encode("utf-8", "replace"),
            capture_output=True, timeout=seconds + 1.0, check=False, env=own,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Answer(wrong=f"It took more than {seconds:.0f} s and was stopped.")
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return Answer(wrong=f"It needed more time ({seconds:.0f} s) or memory than there is.")
    if "wrong" in found:
        return Answer(wrong=text(found["wrong"], 1000))
    columns = tuple((text(n, 80), any(k in t for k in _NUMERIC)) for n, t in found["columns"])
    rows = tuple(tuple(_cell(v) for v in row) for row in found["rows"])
    return Answer(columns, rows, bool(found["cut"]))


def _cell(value: object) -> str:
    """A value as text; numbers keep six digits."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else text(value)
