"""What a question may be about beside its own run: all runs of the store, and rows in Parquet."""

from __future__ import annotations

import re
from typing import Any

from holdfast.report.document import Document, mapping, text
from holdfast.serve.shelf import Shelf
from holdfast.serve.tables import TABLES, Columns, Rows, tables

MOST_RUNS, MOST_BYTES = 100, 50_000_000  # the latest of them, and of their results.json together
MOST_ROWS = 1_000_000
_KEY = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"part-\d{12}\.parquet")
_RUN: Columns = {"run": "VARCHAR"}
RUNS: Columns = _RUN | {
    "model": "VARCHAR", "data": "VARCHAR", "suite": "VARCHAR", "day": "VARCHAR",
    "verdict": "VARCHAR",
}  # fmt: skip
WIDER: dict[str, Columns] = {
    "runs": RUNS, "all_numbers": _RUN | TABLES["numbers"], "all_gates": _RUN | TABLES["gates"],
}  # fmt: skip


def named(question: str, word: str) -> bool:
    """Whether a question could be about a table; what it does not name is not read for it."""
    return re.search(rf"\b{word}\b", question, re.IGNORECASE) is not None


def wider(shelf: Shelf, question: str) -> dict[str, Rows]:
    """The rows of the tables over all runs that a question names, the latest run first."""
    made: dict[str, Rows] = {name: [] for name in WIDER if named(question, name)}
    if not made:
        return {}
    left, cards = MOST_BYTES, shelf.cards()[:MOST_RUNS]
    for card in cards:
        if "runs" in made:
            made["runs"].append([card.id, card.model, card.data, card.suite, card.day, card.word])
        place = shelf.root / "runs" / card.id / "results.json"
        left -= place.stat().st_size if place.is_file() else 0
        if left < 0 or not made.keys() - {"runs"}:
            continue
        known = tables(shelf.results(card.id), {})
        for name in made.keys() - {"runs"}:
            made[name] += [[card.id, *row] for row in known[name.removeprefix("all_")]]
    return made


def parts(shelf: Shelf, facts: Document, question: str) -> list[list[str]]:
    """The Parquet files of each sweep of a run, if the question is about rows.

    They are named by digests in `run.json`; nothing else in it can lead anywhere, and no link is
    followed.
    """
    if not named(question, "rows"):
        return []
    made: list[list[str]] = []
    for key in mapping(facts.get("rows")).values():
        folder = shelf.root / "rows" / (text(key, 64) or "-")
        if not _KEY.fullmatch(folder.name) or folder.resolve() != folder:
            continue
        found = sorted(p for p in folder.glob("part-*.parquet") if _PART.fullmatch(p.name))
        files = [str(p) for p in found if p.is_file() and not p.is_symlink()]
        if files and files not in made:
            made.append(files)
    return made


def asked_of(shelf: Shelf, run: str, question: str) -> dict[str, Any]:
    """Everything about a run that its question may see: results, facts, other runs, rows."""
    facts = shelf.facts(run)
    return {
        "results": shelf.results(run), "run": facts, "wider": wider(shelf, question),
        "parts": parts(shelf, facts, question),
    }  # fmt: skip
