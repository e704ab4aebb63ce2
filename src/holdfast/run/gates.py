"""Gates: limits that readings must keep, as lines of a TOML file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.core.errors import ConfigError

_RULE = re.compile(
    r"\s*(>=|<=|>|<)\s*(?:(baseline)\s*(?:([+-])\s*(\d+(?:\.\d*)?|\.\d+))?"
    r"|([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(%?))\s*"
)


@dataclass(frozen=True)
class Gate:
    """A limit that a reading must keep.

    Args:
        name: of the reading; `*` stands for anything (`attacks.worst@*`: every threat).
        relation: one of >=, <=, >, <.
        limit: the number; added to the baseline's value if `relative`.
        relative: whether the limit is counted from the baseline.
        default: whether nobody asked for it: it then falls away where its check cannot apply.
    """

    name: str
    relation: str
    limit: float
    relative: bool = False
    default: bool = False


def gate(name: str, rule: object) -> Gate:
    """A gate from its line in a file: `"clean.accuracy" = ">= 0.9"`.

    Raises:
        ConfigError: if the rule cannot be read.
    """
    found = _RULE.fullmatch(rule) if isinstance(rule, str) else None
    if found is None or not name.strip():
        raise ConfigError(
            f"gate {name!r}: cannot read {rule!r}",
            fix='Write it as "clean.accuracy" = ">= 0.9" or ">= baseline - 0.01".',
            code="E0120",
        )
    relation, baseline, sign, offset, number, percent = found.groups()
    if baseline:
        return Gate(name, relation, float(f"{sign or '+'}{offset or 0}"), True)
    return Gate(name, relation, float(number) / (100 if percent else 1))


def gates_of(table: Mapping[str, Any]) -> tuple[Gate, ...]:
    """All gates of a `[gate]` table, in its order."""
    return tuple(gate(name, rule) for name, rule in table.items())


def read_gates(file: Path) -> tuple[Gate, ...] | None:
    """The gates of a TOML file (`[gate]` or `[tool.holdfast.gate]`), None if it has none."""
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{file.name}: {error}", fix="Repair the file.", code="E0121") from None
    table = document.get("gate", document.get("tool", {}).get("holdfast", {}).get("gate"))
    if table is not None and not isinstance(table, Mapping):
        raise ConfigError(f"{file.name}: [gate] must be a table", fix='Write "name" = ">= 0.9".')
    return None if table is None else gates_of(table)
