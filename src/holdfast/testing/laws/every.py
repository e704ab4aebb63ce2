"""Laws of every entry of the catalogue, whatever its kind."""

from __future__ import annotations

import inspect
import tomllib
import typing
from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import annotated_types
import tomli_w
from pydantic.fields import FieldInfo

from holdfast.core import catalog
from holdfast.core.catalog import Entry
from holdfast.core.digest import digest
from holdfast.core.errors import ConfigError
from holdfast.core.fields import schema
from holdfast.core.papers import papers
from holdfast.testing.laws import LawBroken


def law_cites_resolve(entry: Entry) -> None:
    """Every paper it cites has an entry in the bibliography."""
    if lost := [key for key in entry.cites if key not in papers()]:
        raise LawBroken(f"{entry.key} cites {lost[0]!r}, which no papers.toml holds")


def law_says_what_it_does(entry: Entry) -> None:
    """It has a docstring whose first line is a sentence, shown by `holdfast list`."""
    if len(entry.says) < 8:
        raise LawBroken(f"{entry.key} does not say what it does")


def law_found_under_its_name(entry: Entry) -> None:
    """The catalogue finds it, and knows it back."""
    if catalog.find(entry.key) is not entry or catalog.entry_of(entry.thing) is not entry:
        raise LawBroken(f"{entry.key} is not found under its own name")


def _namespace() -> dict[str, Any]:
    from holdfast.core.fields import Later

    things = {e.thing.__name__: e.thing for e in catalog.entries() if e.is_settings}
    return things | {"Later": Later}


def _instance(entry: Entry) -> Any:
    """The entry's default, or None where it is not a settings class or preset."""
    thing = entry.thing
    if isinstance(thing, type):
        return thing() if is_dataclass(thing) else None
    return thing if is_dataclass(thing) else None


def law_prints_as_it_is_made(entry: Entry) -> None:
    """`eval(repr(m)) == m`."""
    made = _instance(entry)
    if made is not None and not eval(repr(made), _namespace()) == made:
        raise LawBroken(f"{entry.key}: {made!r} does not evaluate to an equal method")


def law_survives_toml(entry: Entry) -> None:
    """Written as TOML and built again, it is the same method."""
    made = _instance(entry)
    if made is None:
        return
    raw = catalog.table(made)
    plain = {"use": raw} if isinstance(raw, str) else _without_none(raw)
    read = tomllib.loads(tomli_w.dumps(plain))
    again = catalog.build(read.pop("use"), **read)
    if again != made or digest(again) != digest(made):
        raise LawBroken(f"{entry.key}: after TOML it is {again!r}, before {made!r}")


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, list) else value


def law_has_a_schema(entry: Entry) -> None:
    """Its settings have a JSON Schema that names every field."""
    if not entry.is_settings:
        return
    named = set(schema(entry.thing).get("properties", {}))
    own = {f.name for f in fields(entry.thing) if f.init}
    if named != own:
        raise LawBroken(f"{entry.key}: the schema names {sorted(named)}, the class {sorted(own)}")


def law_is_frozen(entry: Entry) -> None:
    """A method never remembers: its fields cannot be set."""
    made = _instance(entry)
    for field in fields(made) if made is not None else ():
        try:
            setattr(made, field.name, getattr(made, field.name))
        except FrozenInstanceError:
            continue
        raise LawBroken(f"{entry.key}.{field.name} can be set")


def _outside(annotation: Any) -> list[Any]:
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


def law_rejects_values_outside_its_ranges(entry: Entry) -> None:
    """Every declared range rejects a value outside it, with a clear error."""
    if not entry.is_settings:
        return
    hints = typing.get_type_hints(entry.thing, include_extras=True)
    for field in fields(entry.thing):
        for value in _outside(hints[field.name]):
            try:
                entry.thing(**{field.name: value})
            except ConfigError as error:
                if field.name not in str(error):
                    raise LawBroken(f"{entry.key}: the error hides {field.name}") from error
                continue
            raise LawBroken(f"{entry.key} accepts {field.name}={value!r}")


def law_rejects_unknown_settings(entry: Entry) -> None:
    """A setting that does not exist is an error."""
    try:
        catalog.build(entry.key, no_such_setting=1)
    except ConfigError:
        return
    except TypeError:
        pass
    raise LawBroken(f"{entry.key} accepts a setting that it does not have")


def law_documents_every_setting(entry: Entry) -> None:
    """The documented settings are the real ones: each appears in the Args of its docstring."""
    thing = entry.thing
    if isinstance(thing, type) and is_dataclass(thing):
        names = [f.name for f in fields(thing) if f.init]
    elif inspect.isfunction(thing):
        marked = inspect.signature(thing).parameters.values()
        names = [p.name for p in marked if p.kind is inspect.Parameter.KEYWORD_ONLY]
    else:
        return
    text = inspect.getdoc(thing) or ""
    if lost := [n for n in names if f"{n}:" not in text and f"{n} (" not in text]:
        raise LawBroken(f"{entry.key} does not document {lost[0]!r}")
