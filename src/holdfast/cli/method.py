"""A method of the catalogue and its settings, as a command line names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.core.errors import ConfigError


def chosen_method(
    kind: str, name: str, values: list[str], *, option: str = "", also: Mapping[str, str] = {}
) -> object:
    """The method of that kind and name with its settings.

    Args:
        kind: of the catalogue, as `attack`.
        name: with or without its kind.
        values: settings as `steps=100`; values are JSON, or words.
        option: that bears the name; that of the kind unless given.
        also: short names that the command takes in place of the catalogue's.

    Raises:
        ConfigError: for an unknown name, an unknown setting, or a value out of range.
    """
    from dataclasses import fields
    from difflib import get_close_matches

    from holdfast.core.catalog import build, entries, resolve
    from holdfast.core.nearest import nearest

    short = name.removeprefix(f"{kind}:")
    known = [e.name for e in entries(kind)]
    if short not in known:
        every = (f"{kind}:{k}" for k in (*known, *also))
        near = [k.partition(":")[2] for k in nearest(f"{kind}:{short}", every)]
        option = option or f"--{kind}"
        fix = f"Did you mean {option} {near[0]}?" if near else f"See: holdfast list {kind}"
        raise ConfigError(f"{kind}: there is no {kind} {short!r}", fix=fix, code="E0154")
    settings = _read(values)
    own = {f.name for f in fields(resolve(f"{kind}:{short}"))}
    if unknown := [key for key in settings if key not in own]:
        near = get_close_matches(unknown[0], own, 1)
        has = f"Did you mean --set {near[0]}=...?" if near else f"It has: {', '.join(sorted(own))}."
        raise ConfigError(f"--set: {short} has no setting {unknown[0]!r}", fix=has, code="E0155")
    return build(f"{kind}:{short}", **settings)


def _read(values: list[str]) -> dict[str, Any]:
    """Settings by name."""
    import json

    settings: dict[str, Any] = {}
    for text in values:
        key, sign, value = text.partition("=")
        if not sign or not key.isidentifier():
            raise ConfigError(f"--set: cannot read {text!r}", fix="Write --set steps=100.",
                              code="E0150")  # fmt: skip
        try:
            settings[key] = json.loads(value)
        except ValueError:  # a word, as in climb=margin
            settings[key] = value
    return settings
