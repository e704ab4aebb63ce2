"""Another threat for everything in a training that is about one."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from holdfast.core.catalog import resolve
from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Threat

_TRAINED = ("objective:", "hook:", "backward:")  # an attack takes its threat from who calls it


def aimed(training: Any, threat: Threat) -> dict[str, Any]:
    """The settings of a training in which a threat is replaced.

    Objectives, hooks and backward passes name their threat in a field `threat`; those within
    others, and those of further players, are found too.

    Args:
        training: settings of a training.
        threat: the new one.

    Raises:
        Unsupported: if there is nothing to replace.
    """
    found = {f.name: getattr(training, f.name) for f in fields(training) if f.init}
    changed = {name: _within(value, threat) for name, value in found.items()}
    kept = {name: value for name, value in changed.items() if value is not found[name]}
    if not kept:
        objective = type(resolve(training.objective)).__name__
        raise Unsupported(
            f"{objective} does not defend against a threat",
            fix="Use a recipe against a threat, such as pgd-at or trades.",
        )
    return kept


def _within(value: Any, threat: Threat) -> Any:
    """A value with every threat inside it replaced; itself where there is none."""
    if isinstance(value, tuple):
        parts = tuple(_within(part, threat) for part in value)
        return parts if any(a is not b for a, b in zip(parts, value, strict=True)) else value
    named = isinstance(value, str) and value.startswith(_TRAINED)
    method: Any = resolve(value) if named else value
    if isinstance(method, Threat | type) or not is_dataclass(method):
        return value
    mine = (f for f in fields(method) if f.init and not f.metadata.get("ingredient"))
    own = {f.name: getattr(method, f.name) for f in mine}
    changed = {n: threat if n == "threat" else _within(v, threat) for n, v in own.items()}
    changed = {n: v for n, v in changed.items() if v is not own[n]}
    return replace(method, **changed) if changed else value  # type: ignore[type-var]
