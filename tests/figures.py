"""Counts that tests made, printed together at the end of the run, from every worker of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

KEY = "figure"
Figure = Callable[[str, object], None]


def of(item: pytest.Item) -> Figure:
    """What a test calls with a name and a count; the count travels with the test's report."""

    def told(name: str, value: object) -> None:
        item.user_properties.append((KEY, f"{name}: {value}"))

    return told


def lines(reporter: pytest.TerminalReporter) -> list[str]:
    """All counts of a run, test by test, those of failed tests too."""
    reports = [r for kind in ("passed", "failed") for r in reporter.stats.get(kind, ())]
    found = []
    for report in sorted(reports, key=lambda r: r.nodeid):
        for key, text in report.user_properties:
            if key == KEY and report.when == "call":
                found.append(text)
    return found
