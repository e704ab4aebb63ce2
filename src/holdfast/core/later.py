"""Optimizers and other citizens of torch, held as a name and settings until they can be made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic_core import core_schema

from holdfast.core.errors import ConfigError


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
    raise ConfigError(
        f"{cls.__name__} is neither in torch.optim nor in the catalogue",
        fix='Register it: @register("optimizer").',
    )
