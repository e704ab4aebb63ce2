"""Laws of every entry of the catalogue, whatever its kind."""

from __future__ import annotations

import inspect
import tomllib
import typing
from dataclasses import FrozenInstanceError, fields, is_dataclass

import tomli_w

from holdfast.core import catalog
from holdfast.core.catalog import Entry
from holdfast.core.digest import digest
from holdfast.core.errors import ConfigError
from holdfast.core.fields import schema
from holdfast.core.papers import papers
from holdfast.core.table import table
from holdfast.testing.laws import LawBroken
from holdfast.testing.laws.described import (
    documented,
    instance,
    namespace,
    outside,
    scalars,
    without_none,
)


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


def law_prints_as_it_is_made(entry: Entry) -> None:
    """`eval(repr(m)) == m`."""
    made = instance(entry)
    if made is not None and not eval(repr(made), namespace()) == made:
        raise LawBroken(f"{entry.key}: {made!r} does not evaluate to an equal method")


def law_survives_toml(entry: Entry) -> None:
    """Written as TOML and built again, it is the same method."""
    made = instance(entry)
    if made is None:
        return
    raw = table(made)
    plain = {"use": raw} if isinstance(raw, str) else without_none(raw)
    read = tomllib.loads(tomli_w.dumps(plain))
    again = catalog.build(read.pop("use"), **read)
    if again != made or digest(again) != digest(made):
        raise LawBroken(f"{entry.key}: after TOML it is {again!r}, before {made!r}")


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
    made = instance(entry)
    for field in fields(made) if made is not None else ():
        try:
            setattr(made, field.name, getattr(made, field.name))
        except FrozenInstanceError:
            continue
        raise LawBroken(f"{entry.key}.{field.name} can be set")


def law_rejects_values_outside_its_ranges(entry: Entry) -> None:
    """Every declared range rejects a value outside it, with a clear error."""
    if not entry.is_settings:
        return
    hints = typing.get_type_hints(entry.thing, include_extras=True)
    for field in fields(entry.thing):
        for value in outside(hints[field.name]):
            try:
                entry.thing(**{field.name: value})
            except ConfigError as error:
                if field.name not in str(error):
                    raise LawBroken(f"{entry.key}: the error hides {field.name}") from error
                continue
            raise LawBroken(f"{entry.key} accepts {field.name}={value!r}")


def law_is_strict_in_python(entry: Entry) -> None:
    """Made in Python, a number, flag or word must have its type; text is refused."""
    for name, value in scalars(entry).items() if entry.is_settings else ():
        try:
            entry.thing(**{name: str(value)})
        except ConfigError:
            continue
        raise LawBroken(f"{entry.key}({name}={str(value)!r}) is accepted")


def law_builds_from_text(entry: Entry) -> None:
    """Built from text, as on a command line, settings get their types; nonsense is refused."""
    for name, value in scalars(entry).items():
        made = catalog.build(entry.key, **{name: str(value)})
        own = made.keywords[name] if hasattr(made, "keywords") else getattr(made, name)
        if own != value or type(own) is not type(value):
            raise LawBroken(f"{entry.key}: {name}={str(value)!r} becomes {own!r}, not {value!r}")
        try:
            catalog.build(entry.key, **{name: "no such value"})
        except ConfigError as error:
            if name in str(error):
                continue
        raise LawBroken(f"{entry.key} builds {name} from nonsense, or hides what is wrong")


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
    """The documented settings are the real ones: all that there are, and no others."""
    thing = entry.thing
    if isinstance(thing, type) and is_dataclass(thing):
        names = every = [f.name for f in fields(thing) if f.init]
    elif inspect.isfunction(thing):
        marked = inspect.signature(thing).parameters.values()
        names = [p.name for p in marked if p.kind is inspect.Parameter.KEYWORD_ONLY]
        every = [p.name for p in marked]
    else:
        return
    said = documented(thing)
    if lost := [n for n in names if n not in said]:
        raise LawBroken(f"{entry.key} does not document {lost[0]!r}")
    if made_up := [n for n in said if n not in every]:
        raise LawBroken(f"{entry.key} documents {made_up[0]!r}, which it does not have")
