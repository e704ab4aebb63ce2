"""Where gates stand in their file, so that a code host can point at the line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

_TABLES = (("gate",), ("tool", "holdfast", "gate"))


def _line(text: str) -> dict[str, Any] | None:
    """One line read by itself; None where it is no whole statement."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _within(table: object, path: tuple[str, ...]) -> dict[str, Any] | None:
    """What stands under a path of tables, None if nothing does."""
    for name in path:
        table = table.get(name) if isinstance(table, dict) else None
    return table if isinstance(table, dict) else None


def places(file: Path) -> dict[str, int]:
    """The line of every gate of a TOML file by its name, counted from 1.

    Each line is read by itself: a header opens a table, an assignment within the table of gates
    is a gate. What cannot be found this way is absent.

    Args:
        file: `holdfast.toml` or `pyproject.toml`; one that cannot be read has no gates.
    """
    found: dict[str, int] = {}
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return found
    open_ = False
    for number, text in enumerate(lines, 1):
        read = _line(text)
        if not read:
            continue
        if text.lstrip().startswith("["):
            open_ = any(_within(read, path) is not None for path in _TABLES)
        for inner in (_within(read, path) for path in _TABLES):  # gate = {...} on one line
            found |= dict.fromkeys(inner or {}, number)
        if open_ and not text.lstrip().startswith("["):
            found |= dict.fromkeys(read, number)
    return found
