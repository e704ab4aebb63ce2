"""Every law of a kind, applied to one method: the same for ours and for anybody's."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from holdfast.core.catalog import Entry, entry_of
from holdfast.core.errors import ConfigError
from holdfast.core.kinds import KINDS
from holdfast.testing.laws import LawBroken, counted, every
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
        How many checks were made: at least one for each law, one in each world for many.

    Raises:
        LawBroken: by the first law that the method does not obey, with that law in words.
        ConfigError: if the kind cannot be told.
    """
    entry = entry_of(method) or entry_of(type(method))
    if not kind:
        kind = entry.kind if entry else _kind_of(method)
    tried = 0
    if entry is not None:
        tried += sum(_tried(law, entry) for law in common_laws())
    subject = example(method) if inspect.isclass(method) and kind != "optimizer" else method
    return tried + sum(_tried(law, subject) for law in laws(kind))


def _tried(law: Law, subject: Any) -> int:
    """Try one law, and say it in words where it is broken or cannot be tried."""
    says = " ".join((inspect.getdoc(law) or "").partition("\n\n")[0].split())
    name = f"{law.__name__}: {says}"
    with counted() as count:
        try:
            law(subject)
        except LawBroken as broken:
            raise LawBroken(f"{name}\n  Broken: {broken}") from broken
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise LawBroken(f"{name}\n  It could not be tried: {said}") from error
    return max(count[0], 1)


def _kind_of(method: Any) -> str:
    owner = method if inspect.isclass(method) else type(method)
    for kind, cls in KINDS.items():
        if inspect.isclass(cls) and not getattr(cls, "_is_protocol", False):
            if issubclass(owner, cls):
                return kind
    raise ConfigError(
        f"conform: cannot tell the kind of {method!r}", fix='Say it: conform(m, kind="shift").'
    )
