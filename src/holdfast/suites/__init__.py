"""Suites: named tuples of checks, written as TOML files in this folder or anywhere else."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.core.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.run.gates import Gate
    from holdfast.run.suite import Suite

_OWN = {"use", "weight"}


def names() -> list[str]:
    """Names of the suites that come with the package."""
    stems = (f.name.removesuffix(".toml") for f in files(__name__).iterdir() if f.is_file())
    return sorted(s for s in stems if "." not in s and s not in ("default_gates", "papers"))


def load(name: str, own: Mapping[str, Any] | None = None) -> Suite:
    """A suite by its name, or from a TOML file.

    Each `[[check]]` table holds `use` (a catalogue name), `weight` (worth of the answer, 1
    unless said) and the settings of the check.

    Args:
        name: of a suite of the user, of one that comes along, or a path ending in `.toml`.
        own: the user's suites by name, the `[suite]` table of `holdfast.toml`; each like the
            file of a suite: `[[suite.mine.check]]`.

    Raises:
        ConfigError: if there is no such suite, or its text is wrong.
    """
    path, mine = Path(name), dict(own or {})
    if path.suffix == ".toml":
        if not path.is_file():
            raise ConfigError(
                f"suite: there is no file {path.name}", fix=_known(name, mine), code="E0103"
            )
        return build(path.stem, path.read_text("utf-8", "replace"))
    if name in mine:
        return assembled(name, mine[name])
    if name not in names():
        raise ConfigError(f"suite: there is no {name!r}", fix=_known(name, mine), code="E0103")
    return build(name, files(__name__).joinpath(f"{name}.toml").read_text("utf-8"))


def _known(name: str, own: Mapping[str, Any]) -> str:
    every = [*own, *names()]
    near = get_close_matches(name, every, 1)
    return f"Did you mean {near[0]}?" if near else f"Suites: {', '.join(every)}, or a .toml file."


def build(name: str, text: str) -> Suite:
    """A suite from the text of its file.

    Raises:
        ConfigError: naming the table that is wrong.
    """
    try:
        return assembled(name, tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"suite {name}: {error}", fix="Repair the file.") from None


def assembled(name: str, document: Any) -> Suite:
    """A suite from the tables of its file.

    Raises:
        ConfigError: naming the table that is wrong.
    """
    from holdfast.core import catalog
    from holdfast.run.suite import Suite

    tables = document.get("check", []) if isinstance(document, Mapping) else None
    if not isinstance(tables, list) or not all(isinstance(t, Mapping) for t in tables):
        raise ConfigError(f"suite {name}: check must be a list of tables", fix="Write [[check]].")
    checks, weights = [], []
    for number, row in enumerate(tables):
        use, weight = row.get("use"), row.get("weight", 1.0)
        if not isinstance(use, str) or not use.startswith("check:"):
            raise ConfigError(
                f"suite {name}: check {number + 1} says use = {use!r}",
                fix='Name a check: use = "check:clean". See: holdfast list check',
            )
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight > 0:
            raise ConfigError(
                f"suite {name}: weight of {use} must be positive, got {weight!r}",
                fix="Use weight = 1.0.",
            )
        settings: dict[str, Any] = {k: v for k, v in row.items() if k not in _OWN}
        checks.append(catalog.build(use, **settings))
        weights.append(float(weight))
    return Suite(name, tuple(checks), tuple(weights), str(document.get("says", "")))


def table(suite: Suite) -> dict[str, Any]:
    """A suite as the tables of its file: `assembled` makes the same suite of them again."""
    from holdfast.core.table import table as plain

    rows = [_row(plain(check)) for check in suite.checks]
    for row, weight in zip(rows, suite.weights or (1.0,) * len(rows), strict=True):
        row["weight"] = weight
    return {"says": suite.says, "check": rows}


def _row(made: Any) -> dict[str, Any]:
    """TOML knows no null: what has no value is left to its default."""
    row: dict[str, Any] = {"use": made} if isinstance(made, str) else dict(made)
    return {k: v for k, v in row.items() if v is not None}


def default_gates() -> tuple[Gate, ...]:
    """The six gates that apply where no file sets any."""
    from holdfast.run.gates import gates_of

    text = files(__name__).joinpath("default_gates.toml").read_text("utf-8")
    return tuple(replace(g, default=True) for g in gates_of(tomllib.loads(text)["gate"]))
