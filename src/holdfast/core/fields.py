"""Settings: frozen keyword-only dataclasses whose values are checked once, when they are made.

`settings` is strict in Python; `holdfast.core.catalog.build` coerces (TOML, command line).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import field
from typing import Annotated, Any, TypeVar, dataclass_transform, get_type_hints

import pydantic
from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as checked

from holdfast.core.errors import ConfigError
from holdfast.core.later import Later
from holdfast.core.parts import Ingredient, Part, ingredient

__all__ = [
    "Count", "Decay", "Ingredient", "Inner", "Later", "Natural", "NonNegative", "Part", "Positive",
    "Share", "coerced", "coerced_settings", "ingredient", "schema", "settings",
]  # fmt: skip
C = TypeVar("C")

Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]  # [0, 1]
Inner = Annotated[float, Field(gt=0, lt=1)]  # (0, 1)
Decay = Annotated[float, Field(ge=0, lt=1)]  # [0, 1)

_LOOSE = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)
_CONFIG = ConfigDict(strict=True, arbitrary_types_allowed=True, extra="forbid", allow_inf_nan=False)


def _sentence(name: str, error: ValidationError, setting: str = "") -> ConfigError:
    """The first violation as place, rule and value."""
    first = error.errors(include_url=False)[0]
    within = [setting] if setting else []
    place = ".".join([name, *within, *(str(p) for p in first["loc"])])
    rule = first["msg"].removeprefix("Value error, ")
    # A rule about several settings together has no place, and its input is all of them.
    value = f", got {first.get('input')!r:.80}" if first["loc"] or setting else ""
    return ConfigError(
        f"{place}: {rule}{value}",
        fix=f"See `holdfast show {name}` for names and ranges.",
        code="E0101",
    )


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field, Field))
def settings(cls: type[C]) -> type[C]:
    """Make a class a frozen, keyword-only dataclass with checked fields.

    Raises (when an instance is made):
        ConfigError: naming class, field, rule and value.
    """
    made: Any = checked(frozen=True, kw_only=True, config=_CONFIG)(cls)
    inner = made.__init__

    @functools.wraps(inner)
    def init(self: object, *args: object, **fields: object) -> None:
        try:
            inner(self, *args, **fields)
        except ValidationError as error:
            raise _sentence(cls.__name__, error) from None

    made.__init__ = init
    return made  # type: ignore[no-any-return]


def coerced(cls: type[C], fields: dict[str, Any]) -> C:
    """An instance from loosely typed values (text, TOML), under the same ranges."""
    try:
        made: C = pydantic.TypeAdapter(cls).validate_python(fields, strict=False)
    except ValidationError as error:
        raise _sentence(cls.__name__, error) from None
    return made


def coerced_settings(
    name: str, thing: Callable[..., Any], values: dict[str, Any]
) -> dict[str, Any]:
    """Settings of a function or of a torch citizen from loosely typed values (text, TOML).

    Settings are keyword-only parameters; a class of torch may name them as it likes, behind its
    first parameter. Types and ranges are those of the annotations.

    Raises:
        ConfigError: naming the setting that does not exist or the value that does not fit.
    """
    taken = list(inspect.signature(thing).parameters.values())
    only = [p.name for p in taken if p.kind is inspect.Parameter.KEYWORD_ONLY]
    known = [p.name for p in taken[1:]] if isinstance(thing, type) else only
    if unknown := sorted(set(values) - set(known)):
        has = f"It has: {', '.join(known)}" if known else "It has no settings."
        raise ConfigError(f"{name} has no setting {unknown[0]!r}", fix=has, code="E0101")
    try:
        hints = get_type_hints(thing.__init__ if isinstance(thing, type) else thing,  # type: ignore[misc]
                               include_extras=True)  # fmt: skip
    except NameError:  # annotations that only a type checker can read
        hints = {}
    checked: dict[str, Any] = {}
    for key, value in values.items():
        try:
            adapter = pydantic.TypeAdapter(hints.get(key, Any), config=_LOOSE)
        except pydantic.PydanticUserError:  # a class that brings its own rules
            adapter = pydantic.TypeAdapter(hints.get(key, Any))
        try:
            checked[key] = adapter.validate_python(value)
        except ValidationError as error:
            raise _sentence(name, error, key) from None
    return checked


def schema(cls: type) -> dict[str, Any]:
    """JSON Schema of the settings of a class."""
    return pydantic.TypeAdapter(cls).json_schema()
