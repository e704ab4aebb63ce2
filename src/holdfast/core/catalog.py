"""The catalogue: every method under `kind:name`, found, built and identified in one place."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import Any, TypeVar

from holdfast.core.digest import digest
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Later, coerced, coerced_settings
from holdfast.core.kinds import KINDS, PACKAGES
from holdfast.core.nearest import nearest

X = TypeVar("X")
P = TypeVar("P")


@dataclass(frozen=True, eq=False)
class Entry:
    """One line of the catalogue.

    Args:
        kind: which call signature and laws it has.
        name: unique within the kind.
        thing: the class, function or preset.
        cites: keys of the papers it comes from.
        says: what it does, in one sentence.
        caution: why it must not be relied on, empty for most; such a method runs for study only.
    """

    kind: str
    name: str
    thing: Any
    cites: tuple[str, ...]
    says: str
    caution: str = ""

    @property
    def key(self) -> str:
        """`kind:name`."""
        return f"{self.kind}:{self.name}"

    @property
    def is_settings(self) -> bool:
        """Whether it is a class of frozen settings."""
        return isinstance(self.thing, type) and is_dataclass(self.thing)


_ENTRIES: dict[str, Entry] = {}
_BY_ID: dict[int, Entry] = {}
_LOADED: set[str] = set()


def _kebab(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name)
    return spaced.replace("_", "-").lower()


def register(
    kind: str, *, cites: str | tuple[str, ...] = (), name: str = "", says: str = "",
    caution: str = "",
) -> Callable[[X], X]:  # fmt: skip
    """Enter a class, function or preset into the catalogue; returns it unchanged.

    Args:
        kind: one of the kinds of `holdfast.core.kinds.KINDS`.
        cites: key or keys of its papers in the `papers.toml` beside the code.
        name: kebab-case name; derived from the class or function unless given.
        says: one sentence; the first line of the docstring unless given.
        caution: why nobody should rely on it, as for a defence that is known to be broken.

    Raises:
        ConfigError: for an unknown kind or a name that is taken.
    """
    if kind not in KINDS:
        raise ConfigError(f"register: no kind {kind!r}", fix=f"Kinds: {', '.join(KINDS)}.")

    def enter(thing: X) -> X:
        own = name or _kebab(getattr(thing, "__name__", ""))
        text = says or (inspect.getdoc(thing) or "").partition("\n")[0]
        keys = (cites,) if isinstance(cites, str) else cites
        entry = Entry(kind, own, thing, keys, text, caution)
        taken = _ENTRIES.get(entry.key)
        if not own or (taken is not None and _origin(taken.thing) != _origin(thing)):
            raise ConfigError(
                f"register: the name {entry.key!r} is empty or taken",
                fix="Give another name: register(kind, name=...).",
            )
        _ENTRIES[entry.key] = _BY_ID[id(thing)] = entry
        return thing

    return enter


def _origin(thing: Any) -> tuple[str, str]:
    kind = thing if hasattr(thing, "__qualname__") else type(thing)
    return kind.__module__, kind.__qualname__


def _load(kind: str) -> None:
    """Import every module of the packages that hold a kind."""
    for package in PACKAGES.get(kind, ()):
        if package in _LOADED:
            continue
        try:
            root = importlib.import_module(f"holdfast.{package}")
        except ModuleNotFoundError as error:
            if error.name != f"holdfast.{package}":
                raise
            continue
        for module in pkgutil.walk_packages(root.__path__, f"{root.__name__}."):
            importlib.import_module(module.name)
        _LOADED.add(package)


def entries(kind: str | None = None) -> list[Entry]:
    """All entries, or those of one kind, sorted by key."""
    for each in KINDS if kind is None else [kind]:
        _load(each)
    found = (e for e in _ENTRIES.values() if kind in (None, e.kind))
    return sorted(found, key=lambda e: e.key)


def find(key: str) -> Entry:
    """The entry named `kind:name`.

    Raises:
        ConfigError: with the nearest names, if there is none.
    """
    if key not in _ENTRIES:
        kind = key.partition(":")[0]
        _load(kind) if kind in KINDS else entries()
    if key not in _ENTRIES:
        near = nearest(key, [e.key for e in entries()])
        own = [e.name for e in entries() if e.kind == key.partition(":")[0]]
        fix = f"It has: {', '.join(own)}." if own else "See `holdfast list`."
        fix = f"Did you mean {', '.join(near)}?" if near else fix
        raise ConfigError(f"catalogue: there is no {key!r}", fix=fix, code="E0102")
    return _ENTRIES[key]


def entry_of(thing: object) -> Entry | None:
    """The entry of a registered class, function or preset, if it is one."""
    entry = _BY_ID.get(id(thing))
    return entry if entry is not None and entry.thing is thing else None


def resolve(part: P | str) -> P:
    """The method itself: a name is looked up, a class is made with its defaults."""
    thing: Any = find(part).thing if isinstance(part, str) else part
    return thing() if isinstance(thing, type) else thing  # type: ignore[no-any-return]


def build(key: str, **values: Any) -> Any:
    """A method with settings given as text, TOML or command line values.

    Raises:
        ConfigError: for an unknown name, an unknown setting or a value out of range.
    """
    thing = find(key).thing
    if isinstance(thing, type) and is_dataclass(thing):
        return coerced(thing, values)
    if is_dataclass(thing):
        own = {f.name: getattr(thing, f.name) for f in fields(thing) if f.init}
        return coerced(type(thing), own | values) if values else thing
    checked = coerced_settings(key, thing, values)
    if isinstance(thing, type):
        return Later(thing, **checked)
    return partial(thing, **checked) if checked else thing


def key(method: Any) -> str:
    """Identity of a method: class, settings and the contents of its ingredients."""
    return digest(method if not isinstance(method, str) else resolve(method))


def with_settings(method: X, **changes: Any) -> X:
    """The same method with some settings replaced (checked again)."""
    return replace(method, **changes)  # type: ignore[type-var]
