"""What plugins bring beside methods, and which plugin brought what.

Methods enter the catalogue by `holdfast.core.catalog.register`, wherever they stand. What has no
kind of its own (where data come from, where cells run, what a report adds) enters by `extend`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from holdfast.core.errors import ConfigError, HoldfastError

X = TypeVar("X")

SLOTS = {
    "reader": "what stands behind NAME: in --data -> Batches or (x, y)",
    "executor": "what stands behind NAME: in --on, a maker of the subject -> Executor",
    "section": "the results document -> findings of a section of the report",
}


@dataclass(frozen=True)
class Origin:
    """Where something foreign comes from.

    Args:
        label: the plugin as people know it: the name of its file, or package and version.
        module: that holds it.
    """

    label: str
    module: str


_THINGS: dict[str, dict[str, Callable[..., Any]]] = {slot: {} for slot in SLOTS}
_METHODS: dict[str, Origin] = {}
_PACKAGES: dict[str, str] = {}


def extend(slot: str, name: str) -> Callable[[X], X]:
    """Enter a reader, an executor or a section of the report; returns it unchanged.

    Args:
        slot: one of `SLOTS`, which say what is handed over and what comes back.
        name: what it is called: `NAME:` before data or on `--on`, the title of a section.

    Raises:
        ConfigError: for an unknown slot, a name that is taken, or what cannot be called.
    """
    if slot not in SLOTS:
        raise ConfigError(
            f"extend: there is no slot {slot!r}", fix=f"Slots: {', '.join(SLOTS)}.", code="E0170"
        )

    def enter(thing: X) -> X:
        taken = _THINGS[slot].get(name)
        if not callable(thing):
            raise ConfigError(
                f"extend: the {slot} {name!r} is a {type(thing).__name__}, which cannot be called",
                fix=f"Give a function: {SLOTS[slot]}.", code="E0170",
            )  # fmt: skip
        if not name or ":" in name or (taken is not None and not _same(taken, thing)):
            raise ConfigError(
                f"extend: the name {name!r} of a {slot} is empty, holds a colon or is taken",
                fix="Choose another name.", code="E0170",
            )  # fmt: skip
        _THINGS[slot][name] = thing
        return thing

    return enter


def _same(one: Any, two: Any) -> bool:
    """Whether two things are the same, entered again when their module is imported again."""
    return _place(one) == _place(two)


def _place(thing: Any) -> tuple[str, str]:
    kind = thing if hasattr(thing, "__qualname__") else type(thing)
    return kind.__module__, kind.__qualname__


def things(slot: str) -> dict[str, Callable[..., Any]]:
    """Everything in a slot, by name."""
    return dict(_THINGS[slot])


def asked_for(slot: str, text: str) -> Callable[..., Any] | None:
    """What a text of the form `NAME:rest`, or `NAME` alone, asks for; it has got the rest."""
    name, _, rest = text.partition(":")
    return partial(answer, slot, name, rest) if name in _THINGS[slot] else None


def answer(slot: str, name: str, *given: Any) -> Any:
    """What comes back from something in a slot.

    Raises:
        ConfigError: where it fails, with what it said.
    """
    try:
        return _THINGS[slot][name](*given)
    except HoldfastError:
        raise
    except Exception as error:
        raise ConfigError(
            f"the {slot} {name!r} failed: {type(error).__name__}: {error}",
            fix=f"Repair it: {_place(_THINGS[slot][name])[1]}, {SLOTS[slot]}.", code="E0170",
        ) from error  # fmt: skip


def note(keys: Iterable[str], label: str, module: str) -> None:
    """Remember which plugin brought some methods.

    Args:
        keys: their names in the catalogue.
        label: the plugin as people know it.
        module: that was imported for it.
    """
    _PACKAGES[module] = label
    for key in keys:
        _METHODS[key] = Origin(label, module)


def origin(key: str, module: str) -> Origin | None:
    """Where a method comes from; None for those of this package.

    Args:
        key: its name in the catalogue.
        module: in which its class or function stands.
    """
    if key in _METHODS:
        return _METHODS[key]
    if f"{module}.".startswith("holdfast."):
        return None
    label = _PACKAGES.get(module) or _PACKAGES.get(module.partition(".")[0], "")
    return Origin(label or module, module)
