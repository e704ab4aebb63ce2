"""A run as tables that can be asked: numbers, gates, checks, findings, points of its figures."""

from __future__ import annotations

from typing import Any

from holdfast.report.document import (
    Document,
    figures,
    findings,
    mapping,
    mappings,
    number,
    outcomes,
    text,
    texts,
)

Columns = dict[str, str]
Rows = list[list[Any]]
_PICTURES = {"image", "changed", "difference", "reasons", "control"}
_WORD, _REAL, _WHOLE = "VARCHAR", "DOUBLE", "BIGINT"
TABLES: dict[str, Columns] = {
    "numbers": {
        "section": _WORD, "check_name": _WORD, "name": _WORD, "value": _REAL, "low": _REAL,
        "high": _REAL, "n": _WHOLE, "bound": _WORD, "unit": _WORD, "better": _WORD,
        "threat": _WORD, "seed": _WHOLE, "flags": _WORD,
    },
    "gates": {
        "name": _WORD, "value": _REAL, "low": _REAL, "high": _REAL, "relation": _WORD,
        "limit_value": _REAL, "verdict": _WORD, "n": _WHOLE, "bound": _WORD, "threat": _WORD,
    },
    "checks": {
        "check_name": _WORD, "section": _WORD, "question": _WORD, "state": _WORD, "why": _WORD,
        "seconds": _REAL,
    },
    "findings": {
        "section": _WORD, "check_name": _WORD, "severity": _WORD, "says": _WORD, "advice": _WORD,
    },
    "broken_rows": {"check_name": _WORD, "row_number": _WHOLE, "says": _WORD},
    "points": {
        "figure": _WORD, "kind": _WORD, "section": _WORD, "point": _WHOLE, "field": _WORD,
        "word": _WORD, "value": _REAL,
    },
}  # fmt: skip


def _whole(value: object) -> int | None:
    """A whole number, or None for anything that is not one or is too large for a column."""
    return value if type(value) is int and abs(value) < 2**63 else None


def _rows(value: object) -> list[int]:
    """The row numbers of a finding."""
    every = map(_whole, value if isinstance(value, list | tuple) else ())
    return [row for row in every if row is not None]


def _name(outcome: Document) -> str:
    return text(outcome.get("check"), 80).removeprefix("check:")


def tables(results: Document, run: Document) -> dict[str, Rows]:
    """The rows of every table, in the order of its columns."""
    return {
        "numbers": _numbers(results),
        "gates": [
            [text(g.get("name"), 200), *map(number, (g.get("value"), g.get("low"), g.get("high"))),
             text(g.get("relation"), 4), number(g.get("limit")), text(g.get("verdict"), 20),
             _whole(g.get("n")), text(g.get("bound"), 20), text(g.get("threat"), 120)]
            for g in mappings(results.get("gates"))
        ],
        "checks": _checks(results, mapping(run.get("checks"))),
        "findings": [
            [text(o.get("section"), 60), _name(o), text(f.get("severity"), 20), text(f.get("says")),
             text(f.get("advice"))]
            for o, f in findings(results)
        ],
        "broken_rows": [
            [_name(o), row, text(f.get("says"))]
            for o, f in findings(results)
            for row in _rows(f.get("rows"))
        ],
        "points": _points(results),
    }  # fmt: skip


def _numbers(results: Document) -> Rows:
    return [
        [text(o.get("section"), 60), _name(o), text(r.get("name"), 200),
         *map(number, (r.get("value"), r.get("low"), r.get("high"))), _whole(r.get("n")),
         text(r.get("bound"), 20), text(r.get("unit"), 40), text(r.get("better"), 20),
         text(r.get("threat"), 120), _whole(r.get("seed")), "; ".join(texts(r.get("flags")))]
        for o, f in findings(results)
        for r in mappings(f.get("readings"))
    ]  # fmt: skip


def _checks(results: Document, seconds: Document) -> Rows:
    made: Rows = []
    for o in outcomes(results):
        error, skipped = text(o.get("error")), text(o.get("skipped"))
        state = "error" if error else "skipped" if skipped else "done"
        spent = number(seconds.get(text(o.get("check"))))
        made.append([_name(o), text(o.get("section"), 60), text(o.get("question"), 200), state,
                     error or skipped, spent])  # fmt: skip
    return made


def _points(results: Document) -> Rows:
    """Every value of every figure that is a word or a number; pictures stay outside."""
    kinds = {
        text(f.get("kind")) for _, one in findings(results) for f in mappings(one.get("figures"))
    }
    made: Rows = []
    for kind in sorted(kinds):
        for section, figure in figures(results, kind):
            name = text(figure.get("name"), 80)
            for place, row in enumerate(mappings(figure.get("rows"))):
                for key, value in row.items():
                    if key in _PICTURES or isinstance(value, list | dict):
                        continue
                    made.append([name, kind, section, place, text(key, 80), text(value, 400),
                                 number(value)])  # fmt: skip
    return made
