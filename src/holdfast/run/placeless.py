"""A document without the places of files, so that it is the same on every machine."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any


def _folderless(command: str) -> str:
    """A command line whose files stand without their folders; threats keep their fractions."""
    try:
        words = shlex.split(command)
    except ValueError:  # advice with a lone apostrophe is a sentence, not a command line
        words = command.split()
    kept = [
        word if before == "--threat" else word.rstrip("/").rpartition("/")[2]
        for before, word in zip(["", *words], words, strict=False)
    ]
    return shlex.join(kept)


def placeless(results: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the names of files instead of their places: equal on every machine."""
    actions = [a | {"command": _folderless(a["command"])} for a in results["actions"]]
    return dict(results) | {"command": _folderless(results["command"]), "actions": actions}
