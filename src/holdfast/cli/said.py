"""Options as the words of a command line."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from holdfast.cli import options as words


def command(model: str, chosen: dict[str, Any]) -> str:
    """The command line that repeats an audit."""
    return shlex.join(["holdfast", "audit", model, *given(chosen, words.REMEMBERED)])


def given(chosen: dict[str, Any], names: Sequence[str]) -> list[str]:
    """Options as words; those that have their usual value are left out."""
    line: list[str] = []
    for key in names:
        value = chosen.get(key)
        if value is None or value == words.USUAL.get(key):
            continue
        for each in value if isinstance(value, list) else [value]:
            line += [f"--{key.replace('_', '-')}", str(each)]
    return line + ["--allow-network"] * bool(chosen.get("allow_network"))
