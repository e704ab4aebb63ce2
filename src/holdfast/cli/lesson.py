"""The recipe of `holdfast harden`: any of the catalogue or of the user, fitted to the task."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from holdfast.core.catalog import entries, entry_of, find, resolve
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Later
from holdfast.core.nearest import nearest

if TYPE_CHECKING:
    from holdfast.cli.school import School
    from holdfast.core.kinds import Threat

TEMPERATURE = "temperature"  # defence:temperature, written into the weights
_FILLED = {"rows": "learn", "held": "watched"}  # what hooks call the rows they want


@dataclass(frozen=True)
class Lesson:
    """A recipe that is ready to be run.

    Args:
        name: as the user gave it.
        recipe: the method.
        caution: why it must not be relied on; empty for most.
        against: whether it is about a threat.
    """

    name: str
    recipe: Any
    caution: str = ""
    against: bool = True

    @property
    def epochs(self) -> int:
        """Passes over the data that it asks for; 0 where it does not count them."""
        return int(getattr(self.recipe, "epochs", 0))

    @property
    def watched(self) -> bool:
        """Whether it is run by the training loop, which can be watched, stopped and continued."""
        return "control" in inspect.signature(self.recipe.__call__).parameters

    @property
    def plain(self) -> bool:
        """Whether it has the optimizer of the loop, whose rate is one to start from nothing."""
        from holdfast.run.loop import Training

        return bool(getattr(self.recipe, "optimizer", None) == Training().optimizer)

    @property
    def since(self) -> float:
        """The share of the run at whose end what its methods ramp up has reached its end."""
        named = (getattr(self.recipe, "objective", None), *getattr(self.recipe, "hooks", ()))
        parts = [resolve(part) for part in named if part is not None]
        ramps = [p.end for p in parts if hasattr(p, "wait") and hasattr(p, "end")]
        return float(max([0.0, *ramps, *(getattr(p, "finish", 0.0) for p in parts)]))

    def with_epochs(self, epochs: int) -> Lesson:
        """The same with other passes over the data, where it counts them."""
        if not self.epochs or epochs == self.epochs:
            return self
        return replace(self, recipe=replace(self.recipe, epochs=epochs))


def recipes() -> list[str]:
    """The names of all recipes of the catalogue."""
    return [e.name for e in entries("recipe")]


def lesson(
    name: str, threat: Threat, *, rate: float | None = None, epochs: int | None = None,
    study: bool = False,
) -> Lesson:  # fmt: skip
    """A recipe by its name, with its own optimizer and schedule unless told otherwise.

    Args:
        name: of the catalogue, or `module:name` of the user's own; `objective:name` is the
            standard training with that objective.
        threat: what it hardens against, if it is about threats.
        rate: learning rate instead of its own.
        epochs: instead of its own.
        study: run what is known to be broken all the same.

    Raises:
        ConfigError: if there is none of this name.
        Unsupported: if it is known to be broken.
    """
    thing, caution = _named(name)
    if caution and not study:
        raise Unsupported(
            f"harden: {name} is known not to make models robust: {caution}",
            fix="Choose another recipe, or add --for-study to see for yourself.",
            code="E0331",
        )
    against = True
    try:
        thing = thing.against(threat)
    except (AttributeError, Unsupported):
        against = False
    if rate is not None:
        thing = _rated(thing, rate, name)
    made = Lesson(name, thing, caution, against)
    return made if epochs is None else made.with_epochs(epochs)


def _named(name: str) -> tuple[Any, str]:
    from holdfast.readers.entry import is_entry, load_entry

    if is_entry(name) and not name.startswith(("recipe:", "objective:")):
        own = load_entry(name)
        made = own() if isinstance(own, type) else own
        if not callable(made):
            raise ConfigError(f"harden: {name} is no recipe", fix="It must be callable.")
        entry = entry_of(own)
        return made, entry.caution if entry else ""
    if name == TEMPERATURE:
        from holdfast.cli.recalibrated import Recalibrated

        return Recalibrated(), ""
    if name.startswith("objective:"):
        from holdfast.recipes.standard import Standard

        return Standard(objective=name), find(name).caution
    own_name = name.removeprefix("recipe:")
    known = recipes()
    if own_name not in known:
        near = [k.partition(":")[2] for k in nearest(f"recipe:{own_name}", _keys(known))]
        fix = f"Did you mean {', '.join(near)}?" if near else f"Use {', '.join(known)} or auto."
        raise ConfigError(f"harden: no recipe {name!r}", fix=fix, code="E0129")
    found = find(f"recipe:{own_name}")
    return resolve(found.key), found.caution


def _keys(names: list[str]) -> list[str]:
    return [f"recipe:{name}" for name in names]


def _rated(recipe: Any, rate: float, name: str) -> Any:
    """The same recipe with another learning rate, which may stand within another optimizer."""
    optimizer = getattr(recipe, "optimizer", None)
    if not isinstance(optimizer, Later):
        raise ConfigError(
            f"harden: {name} has no learning rate", fix="Leave out --rate.", code="E0147"
        )
    return replace(recipe, optimizer=_slower(optimizer, rate))


def _slower(optimizer: Later, rate: float) -> Later:
    base = optimizer.settings.get("base")
    if isinstance(base, Later):
        return Later(optimizer.name, **optimizer.settings | {"base": _slower(base, rate)})
    return Later(optimizer.name, **optimizer.settings | {"lr": rate})


def fed(made: Lesson, school: School) -> Lesson:
    """The same with the rows that it or its hooks ask for: training rows, or rows held out."""
    hooks = tuple(_fed(resolve(h), school) for h in getattr(made.recipe, "hooks", ()))
    recipe = _fed(made.recipe, school)
    return replace(made, recipe=replace(recipe, hooks=hooks) if hooks else recipe)


def _fed(method: Any, school: School) -> Any:
    if not is_dataclass(method):
        return method
    empty = [f.name for f in fields(method) if f.metadata.get("ingredient")]
    asked = [n for n in empty if n in _FILLED and getattr(method, n) is None]
    more: dict[str, Any] = {n: getattr(school, _FILLED[n]) for n in asked}
    return replace(method, **more) if more else method  # type: ignore[type-var]
