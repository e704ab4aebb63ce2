"""Every law of a kind, applied to one method: the same for ours and for anybody's."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from holdfast.core.catalog import Entry, entry_of
from holdfast.core.errors import ConfigError
from holdfast.core.kinds import KINDS
from holdfast.testing.laws import every
from holdfast.testing.worlds import two_class

Law = Callable[[Any], None]


def _laws_in(module: Any) -> list[Law]:
    return [f for name, f in vars(module).items() if name.startswith("law_") and callable(f)]


def common_laws() -> list[Law]:
    """Laws of every entry; each takes an `Entry`."""
    return _laws_in(every)


def laws(kind: str) -> list[Law]:
    """Laws of a kind; each takes a method, made with its defaults."""
    name = f"holdfast.testing.laws.{kind}"
    try:
        return _laws_in(importlib.import_module(name))
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return []


def example(cls: Any) -> Any:
    """An instance of a class: its own `example(world)` where it needs an ingredient."""
    made = getattr(cls, "example", None)
    return made(two_class()) if callable(made) else cls()


def subject_of(entry: Entry) -> Any:
    """What the laws of a kind are tried on: an instance of settings, or the thing itself."""
    return example(entry.thing) if entry.is_settings else entry.thing


def conform(method: Any, kind: str = "") -> int:
    """Try every law of its kind on a method; it need not be in the catalogue.

    Args:
        method: an instance, class or function of a known kind.
        kind: needed for functions that are not registered.

    Returns:
        How many laws were tried.

    Raises:
        LawBroken: by the first law that the method does not obey.
        ConfigError: if the kind cannot be told.
    """
    entry = entry_of(method) or entry_of(type(method))
    if not kind:
        kind = entry.kind if entry else _kind_of(method)
    tried = 0
    if entry is not None:
        for law in common_laws():
            law(entry)
            tried += 1
    subject = example(method) if inspect.isclass(method) and kind != "optimizer" else method
    for law in laws(kind):
        law(subject)
        tried += 1
    return tried


def _kind_of(method: Any) -> str:
    owner = method if inspect.isclass(method) else type(method)
    for kind, cls in KINDS.items():
        if inspect.isclass(cls) and not getattr(cls, "_is_protocol", False):
            if issubclass(owner, cls):
                return kind
    raise ConfigError(
        f"conform: cannot tell the kind of {method!r}", fix='Say it: conform(m, kind="shift").'
    )
