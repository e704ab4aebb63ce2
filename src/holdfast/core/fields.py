"""Settings: frozen keyword-only dataclasses whose values are checked once, when they are made.

`settings` is strict in Python; `holdfast.core.catalog.build` coerces (TOML, command line).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, dataclass_transform

import pydantic
from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as checked
from pydantic_core import core_schema

from holdfast.core.errors import ConfigError

C = TypeVar("C")
P = TypeVar("P")

Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]  # [0, 1]
Inner = Annotated[float, Field(gt=0, lt=1)]  # (0, 1)
Decay = Annotated[float, Field(ge=0, lt=1)]  # [0, 1)

_CONFIG = ConfigDict(strict=True, arbitrary_types_allowed=True, extra="forbid", allow_inf_nan=False)


def _sentence(name: str, error: ValidationError) -> ConfigError:
    """The first violation as place, rule and value."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(p) for p in first["loc"]) or "settings"
    rule = first["msg"].removeprefix("Value error, ")
    return ConfigError(
        f"{name}.{place}: {rule}, got {first.get('input')!r:.80}",
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


def schema(cls: type) -> dict[str, Any]:
    """JSON Schema of the settings of a class."""
    return pydantic.TypeAdapter(cls).json_schema()


class _PartOf:
    """Checks that a value can serve as a part of some kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, value: Any) -> Any:
        from holdfast.core import catalog

        if isinstance(value, str):
            if not value.startswith(f"{self.kind}:"):
                raise ValueError(f"must name a {self.kind}, as '{self.kind}:name'")
            return value
        if isinstance(value, dict):
            fields = dict(value)
            return catalog.build(fields.pop("use", self.kind), **fields)
        if not callable(value) and self.kind not in ("threat", "detector", "hook"):
            raise ValueError(f"must be a {self.kind} or the name of one")
        known = catalog.entry_of(value)
        return known.key if known is not None and known.kind == self.kind else value

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> Any:
        return core_schema.no_info_plain_validator_function(
            self,
            serialization=core_schema.plain_serializer_function_ser_schema(_plain),
        )

    def __get_pydantic_json_schema__(self, schema: object, handler: object) -> dict[str, Any]:
        named = {"type": "string", "pattern": f"^{self.kind}:"}
        return {"anyOf": [named, {"type": "object", "required": ["use"]}]}


def _plain(value: Any) -> Any:
    """A part as text, or as a table with its name and settings."""
    from holdfast.core import catalog

    return value if isinstance(value, str) else catalog.table(value)


if TYPE_CHECKING:
    Part = Union[P, str]  # noqa: UP007  # mypy reads no other form of a generic alias
    Ingredient = Annotated[P | None, "ingredient"]
else:

    class Part:
        """A field that holds a method of a kind: `Part[Attack]`; prints as its catalogue name."""

        def __class_getitem__(cls, kind: object) -> object:
            from holdfast.core.kinds import KINDS

            name = next(k for k, v in KINDS.items() if v is kind)
            return Annotated[Any, _PartOf(name)]

    class Ingredient:
        """A field that holds something with contents (model, data): outside repr and ==."""

        def __class_getitem__(cls, kind: object) -> object:
            return Any


def ingredient() -> Any:
    """The default of an `Ingredient` field: None, not printed, not compared, but digested."""
    return field(default=None, repr=False, compare=False, metadata={"ingredient": True})


class Later:
    """An optimizer (or other citizen of torch) to be made when its parameters are known.

    Args:
        name: `torch:SGD` for a class of `torch.optim`, or a catalogue name (`optimizer:sam`);
            a class is turned into its name.
        settings: keyword arguments of the constructor.
    """

    def __init__(self, name: str | type, **settings: Any) -> None:
        self.name = name if isinstance(name, str) else _name(name)
        self.settings = settings

    def __call__(self, parameters: Any) -> Any:
        """Make it for these parameters."""
        return self._maker()(parameters, **self.settings)

    def _maker(self) -> Callable[..., Any]:
        if self.name.startswith("torch:"):
            import torch.optim

            found = getattr(torch.optim, self.name.removeprefix("torch:"), None)
            if found is None:
                raise ConfigError(f"torch.optim has no {self.name}", fix="Use 'torch:SGD'.")
            return found  # type: ignore[no-any-return]
        from holdfast.core.catalog import find

        return find(self.name).thing  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        more = "".join(f", {k}={v!r}" for k, v in sorted(self.settings.items()))
        return f"Later({self.name!r}{more})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Later) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        return core_schema.no_info_plain_validator_function(
            cls._checked,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda v: {"use": v.name, **v.settings}
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, Any]:
        return {"type": "object", "required": ["use"]}

    @classmethod
    def _checked(cls, value: Any) -> Later:
        if isinstance(value, dict) and "use" in value:
            return cls(**{"name": value["use"], **{k: v for k, v in value.items() if k != "use"}})
        if isinstance(value, str):
            return cls(value)
        if not isinstance(value, Later):
            raise ValueError("must be Later('torch:SGD', lr=...)")
        return value


def _name(cls: type) -> str:
    from holdfast.core.catalog import entry_of

    known = entry_of(cls)
    if known is not None:
        return known.key
    if cls.__module__.startswith("torch.optim"):
        return f"torch:{cls.__name__}"
    raise ConfigError(f"{cls.__name__} is neither in torch.optim nor in the catalogue")
