"""Sections that plugins add to the report: findings drawn like those of any check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from holdfast.core.errors import HoldfastError
from holdfast.report.document import Document
from holdfast.report.drawn import Desk
from holdfast.report.parts import Section, block, section
from holdfast.run.plugins import answer, things


def sections(desk: Desk, results: Document) -> Iterator[Section]:
    """One section for each that has something to say, in the order of their names.

    A section gets the results document and gives findings. They are text and numbers, never
    markup, so that a plugin cannot weaken the page; one that fails says so in its own place.
    """
    for name in sorted(things("section")):
        made = block(desk, {"section": name, "findings": _told(name, results)})
        if made.said or made.figures or made.numbers:
            key = f"more-{desk.anchor(name).removeprefix('fig-')}"
            yield section(key, name.replace("-", " ").capitalize(), blocks=(made,))


def _told(name: str, results: Document) -> list[Mapping[str, Any]]:
    try:
        return [_plain(finding) for finding in answer("section", name, results)]
    except HoldfastError as error:
        says, advice = error.says, error.fix
    except Exception as error:  # of a generator, or of what is no finding
        says, advice = f"the section failed: {type(error).__name__}: {error}", "Repair it."
    return [{"severity": "warning", "says": says, "advice": advice}]


def _plain(finding: Any) -> Mapping[str, Any]:
    return asdict(finding) if is_dataclass(finding) and not isinstance(finding, type) else finding
