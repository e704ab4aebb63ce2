"""What an entry says of itself: an instance, its plain settings, ranges and documentation."""

from __future__ import annotations

import inspect
import re
import typing
from dataclasses import fields, is_dataclass
from typing import Any

import annotated_types
from pydantic.fields import FieldInfo

from holdfast.core import catalog
from holdfast.core.catalog import Entry


def namespace() -> dict[str, Any]:
    """Names that the repr of a method may use."""
    from holdfast.core.fields import Later

    things = {e.thing.__name__: e.thing for e in catalog.entries() if e.is_settings}
    return things | {"Later": Later}


def instance(entry: Entry) -> Any:
    """The entry's default, or None where it is not a settings class or preset."""
    thing = entry.thing
    if isinstance(thing, type):
        return thing() if is_dataclass(thing) else None
    return thing if is_dataclass(thing) else None


def without_none(value: Any) -> Any:
    """Plain values without None, which TOML does not know."""
    if isinstance(value, dict):
        return {k: without_none(v) for k, v in value.items() if v is not None}
    return [without_none(v) for v in value] if isinstance(value, list) else value


def outside(annotation: Any) -> list[Any]:
    """Values just outside the declared range of a field."""
    bounds: list[Any] = []
    for note in getattr(annotation, "__metadata__", ()):
        bounds += note.metadata if isinstance(note, FieldInfo) else [note]
    kind = typing.get_args(annotation)[0] if bounds else annotation
    step = 1 if kind is int else 1e-3
    found: list[Any] = []
    for bound in bounds:
        if isinstance(bound, annotated_types.Ge):
            found.append(kind(bound.ge) - step)
        elif isinstance(bound, annotated_types.Gt):
            found.append(kind(bound.gt))
        elif isinstance(bound, annotated_types.Le):
            found.append(kind(bound.le) + step)
        elif isinstance(bound, annotated_types.Lt):
            found.append(kind(bound.lt))
    if typing.get_origin(annotation) is typing.Literal:
        found.append("no such choice")
    if kind is float:
        found += [float("nan"), float("inf")]
    return found


def scalars(entry: Entry) -> dict[str, Any]:
    """The settings that are plain numbers, flags or words, with their defaults."""
    thing, found = entry.thing, {}
    if isinstance(thing, type) and is_dataclass(thing):
        made = thing()
        found = {f.name: getattr(made, f.name) for f in fields(thing) if f.init}
    elif inspect.isfunction(thing):
        marked = inspect.signature(thing).parameters.values()
        only = inspect.Parameter.KEYWORD_ONLY
        found = {p.name: p.default for p in marked if p.kind is only}
    return {k: v for k, v in found.items() if isinstance(v, bool | int | float)}


def documented(thing: Any) -> list[str]:
    """Names in the Args section of a docstring."""
    text = inspect.getdoc(thing) or ""
    section = re.search(r"^Args:\n((?:[ ]{4}.*\n|\n)*)", text + "\n", re.MULTILINE)
    named = re.findall(r"^ {4}(\w+(?:, \w+)*)(?: \(.*?\))?:", section[1], re.M) if section else []
    return [name for group in named for name in group.split(", ")]
