"""A method as plain values, from which `catalog.build` makes it again."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

from holdfast.core.catalog import entry_of
from holdfast.core.fields import Later


def table(method: Any) -> Any:
    """A method as plain values: its name, or a table of its name and settings."""
    known = entry_of(method)
    if known is not None:
        return known.key
    if isinstance(method, partial) and (own := entry_of(method.func)) and not method.args:
        return {"use": own.key} | {k: _plain(v) for k, v in method.keywords.items()}
    if isinstance(method, Later):
        return _plain(method)
    if not is_dataclass(method) or isinstance(method, type):
        return repr(method)
    entry = entry_of(type(method))
    head = {"use": entry.key if entry else type(method).__qualname__}
    return head | {
        f.name: _plain(getattr(method, f.name))
        for f in fields(method)
        if f.init and not f.metadata.get("ingredient")
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Later):
        return {"use": value.name, **{k: _plain(v) for k, v in value.settings.items()}}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return table(value)
