"""Suites: named tuples of checks, written as TOML files in this folder or anywhere else."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
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


def load(name: str) -> Suite:
    """A suite by its name, or from a TOML file.

    Each `[[check]]` table holds `use` (a catalogue name), `weight` (worth of the answer, 1
    unless said) and the settings of the check.

    Raises:
        ConfigError: if there is no such suite, or its text is wrong.
    """
    path = Path(name)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ConfigError(f"suite: there is no file {path.name}", fix=_known(name))
        return build(path.stem, path.read_text("utf-8"))
    if name not in names():
        raise ConfigError(f"suite: there is no {name!r}", fix=_known(name), code="E0103")
    return build(name, files(__name__).joinpath(f"{name}.toml").read_text("utf-8"))


def _known(name: str) -> str:
    near = get_close_matches(name, names(), 1)
    return f"Did you mean {near[0]}?" if near else f"Suites: {', '.join(names())}, or a .toml file."


def build(name: str, text: str) -> Suite:
    """A suite from the text of its file.

    Raises:
        ConfigError: naming the table that is wrong.
    """
    from holdfast.core import catalog
    from holdfast.run.suite import Suite

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"suite {name}: {error}", fix="Repair the file.") from None
    tables = document.get("check", [])
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
        made = catalog.build(use, **settings)
        checks.append(made)
        weights.append(float(weight))
    return Suite(name, tuple(checks), tuple(weights), str(document.get("says", "")))


def default_gates() -> tuple[Gate, ...]:
    """The six gates that apply where no file sets any."""
    from holdfast.run.gates import gates_of

    text = files(__name__).joinpath("default_gates.toml").read_text("utf-8")
    return gates_of(tomllib.loads(text)["gate"])
