"""Read a results document tolerantly: any part may be absent, of another type, or hostile."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]

# Control characters and the marks that reorder text: a class name must not be able to change
# how the words around it read.
_UNSEEN = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")


def mapping(value: object) -> Document:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: object) -> list[Document]:
    """The mappings among the elements of a list; empty for anything else."""
    if not isinstance(value, list | tuple):
        return []
    return [v for v in value if isinstance(v, Mapping)]


def text(value: object, limit: int = 2000) -> str:
    """Plain one-line text without control or reordering characters, cut at `limit`."""
    if value is None:
        return ""
    plain = _SURROGATE.sub("\ufffd", _UNSEEN.sub(" ", str(value)))
    plain = " ".join(plain.split())
    return plain if len(plain) <= limit else plain[: limit - 1] + "\u2026"


def texts(value: object) -> tuple[str, ...]:
    """The elements of a list as plain texts, empty ones left out."""
    if not isinstance(value, list | tuple):
        return ()
    return tuple(t for t in map(text, value) if t)


def number(value: object) -> float | None:
    """A finite float, or None for anything that is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        plain = float(value)
    except OverflowError:
        return None
    return plain if math.isfinite(plain) else None


def outcomes(results: Document) -> list[Document]:
    """All outcomes of the document, in order."""
    return mappings(results.get("outcomes"))


def findings(results: Document) -> Iterator[tuple[Document, Document]]:
    """Every finding with the outcome it belongs to."""
    for outcome in outcomes(results):
        for finding in mappings(outcome.get("findings")):
            yield outcome, finding


def readings(results: Document) -> Iterator[tuple[str, Document]]:
    """Every reading with the section of its outcome."""
    for outcome, finding in findings(results):
        for reading in mappings(finding.get("readings")):
            yield text(outcome.get("section")), reading


def figures(results: Document, kind: str) -> Iterator[tuple[str, Document]]:
    """Every figure of one kind with the section of its outcome."""
    for outcome, finding in findings(results):
        for figure in mappings(finding.get("figures")):
            if figure.get("kind") == kind:
                yield text(outcome.get("section")), figure


def doubts(finding: Document) -> tuple[str, ...]:
    """Why the numbers of a finding deserve less trust; they go wherever its sentence goes."""
    every = (f for r in mappings(finding.get("readings")) for f in texts(r.get("flags")))
    return tuple(dict.fromkeys(every))


def sentence(finding: Document) -> str:
    """What a finding says, with all doubts about its numbers."""
    said, flags = text(finding.get("says")), doubts(finding)
    return f"{said} ({'; '.join(flags)})" if said and flags else said
