"""What `holdfast monitor` finds in a stream, as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from holdfast.checks.answers import Answers, answering, given, inputs_of
from holdfast.core.errors import ConfigError
from holdfast.core.records import Reading
from holdfast.measures.data.columns import Window
from holdfast.measures.data.columns import known as kind_of
from holdfast.measures.data.questions import Asked
from holdfast.measures.data.stream import Look, Moved, far, watched
from holdfast.readers.archive import MAX_BYTES
from holdfast.readers.packed_rows import LABEL
from holdfast.readers.stream import files, whole, windows


class Source(NamedTuple):
    """What is compared with what.

    Args:
        stream: file or folder.
        reference: file or folder.
        window: rows of a window, or None for whole files.
        ignore: columns that are left out.
        target: the label column, if there is one.
        limit: most rows of a window that are looked at.
        max_bytes: nothing larger is unpacked.
        seed: of every draw.
    """

    stream: str
    reference: str
    window: int | None
    ignore: tuple[str, ...]
    target: str | None
    limit: int
    max_bytes: int | None
    seed: int


def compared(
    source: Source, model: Mapping[str, Any] | None, *, alpha: float, seen: int
) -> dict[str, Any]:  # fmt: skip
    """All windows of a stream against the reference, as plain values.

    Raises:
        ConfigError: if there is no row to compare.
    """
    files(source.stream)  # so that a slip of the pen is said before the reference is read
    size = source.max_bytes or MAX_BYTES
    alike: dict[str, Any] = {
        "limit": source.limit, "ignore": source.ignore, "seed": source.seed, "max_bytes": size,
    }  # fmt: skip
    known = whole(source.reference, **alike)
    lost = [n for n in (source.target,) if n and n not in known.columns]
    if lost:
        raise ConfigError(f"--target: {known.name} has no column {lost[0]!r}",
                          fix=f"It has: {', '.join(list(known.columns)[:8])}.")  # fmt: skip
    stream: Iterator[Window] = windows(source.stream, rows=source.window, **alike)
    label = source.target or LABEL
    various = [n for n, c in known.columns.items() if kind_of(n, c).kind == "various"]
    told: dict[str, Any] = {}
    if model is not None:
        answers, known = _answers(model, known, label, source)
        stream = (answers(w) for w in stream)
        told["model"] = {"inputs": list(answers.inputs), "detector": model["detector"]}
    looks = list(
        watched(known, stream, alpha=alpha, seen=seen, optional=(label,), seed=source.seed)
    )
    if not any(look.n for look in looks):
        raise ConfigError(f"{source.stream}: no window has a row", fix="Check the files.")
    drift = any(look.verdict == "drift" for look in looks)
    return told | {
        "reference": {"name": known.name, "n": known.n, "whole": known.whole,
                      "columns": len(known.columns), "only_gaps_compared": various},
        "alpha": alpha, "seen": seen, "seed": source.seed, "limit": source.limit,
        "verdict": "drift" if drift else "no drift",
        "windows": [_window(look) for look in looks],
        "moved": _over_all(looks),
    }  # fmt: skip


def _answers(
    model: Mapping[str, Any], known: Window, label: str, source: Source
) -> tuple[Answers, Window]:  # fmt: skip
    """The model of the command line, made ready to answer windows."""
    from holdfast.core.catalog import build
    from holdfast.readers.model import read_model

    inputs = () if known.x is not None else inputs_of(known, (label,))
    shape = given(known, inputs)[0].shape[1:]
    read = read_model(
        model["model"], arch=model["arch"], trust=model["trust"], mean=model["mean"],
        std=model["std"], shape=tuple(shape), max_bytes=source.max_bytes or MAX_BYTES,
    )  # fmt: skip
    made = build(f"detector:{model['detector'].removeprefix('detector:')}")
    return answering(read.model, known, made, ignore=(label,), seed=source.seed)


def _window(look: Look) -> dict[str, Any]:
    return {
        "name": look.name, "n": look.n, "whole": look.whole, "number": look.number,
        "level": look.level, "verdict": look.verdict, "p": look.p,
        "questions": look.questions,
        "clearest": None if look.answered is None else _question(look.answered),
        "moved": [_moved(m) for m in look.moved],
        "changed": list(look.changed), "notes": list(look.notes),
    }  # fmt: skip


def _question(q: Asked) -> dict[str, Any]:
    return {"column": q.column, "what": q.what, "p": q.p, "says": q.says,
            "statistic": _reading(q.reading)}  # fmt: skip


def _moved(m: Moved) -> dict[str, Any]:
    return {
        "column": m.column, "p": m.p, "questions": [_question(q) for q in m.questions],
        "effects": {e.name.rpartition(".")[2]: _reading(e) for e in m.effects},
    }  # fmt: skip


def _reading(r: Reading) -> dict[str, Any]:
    return {"value": r.value, "low": r.low, "high": r.high, "n": r.n, "unit": r.unit,
            "seed": r.seed}  # fmt: skip


def _over_all(looks: list[Look]) -> list[dict[str, Any]]:
    """Columns that moved in any window, furthest first; each change where it is clearest."""
    every: dict[str, list[tuple[Look, Moved]]] = {}
    for look in looks:
        for m in look.moved:
            every.setdefault(m.column, []).append((look, m))
    rows: list[tuple[float, float, dict[str, Any]]] = []
    for column, found in every.items():
        look, worst = max(found, key=lambda e: (far(e[1]), -e[1].p))
        kinds: dict[str, tuple[Look, Asked]] = {}
        for at, m in found:
            for q in m.questions:
                if q.what not in kinds or q.p < kinds[q.what][1].p:
                    kinds[q.what] = (at, q)
        told = {
            "column": column, "windows": len(found), "first": found[0][0].name,
            "furthest": look.name, "effects": _moved(worst)["effects"],
            "questions": [_question(q) | {"window": at.name} for at, q in kinds.values()],
        }  # fmt: skip
        rows.append((-far(worst), worst.p, told))
    return [told for *_, told in sorted(rows, key=lambda r: r[:2])]
