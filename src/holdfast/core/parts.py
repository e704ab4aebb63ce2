"""Fields that hold a method of some kind, or something with contents."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union

from pydantic_core import core_schema

P = TypeVar("P")


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
        if not callable(value) and self.kind not in ("threat", "detector", "hook", "env", "agent"):
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
    from holdfast.core.table import table

    return value if isinstance(value, str) else table(value)


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
