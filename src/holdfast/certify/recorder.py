"""Records every tensor operation on one input, and refuses what would get past the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from holdfast.certify.graph import Node, rounding_unit
from holdfast.certify.operators import Operator
from holdfast.core.errors import Unsupported

Handler = Callable[["Recorder", Sequence[Any], Mapping[str, Any], Tensor], int]


def unsupported(what: str, fix: str = "") -> Unsupported:
    """The refusal to read an operator."""
    known = "Linear, Conv, BatchNorm (eval), ReLU, pooling by average, sums and reshapes are read."
    return Unsupported(f"linear bounds cannot read {what}", fix=fix or known, code="E0310")


# Ways by which numbers leave a tensor without any tensor operation being called.
LEAKS = {
    "numpy", "tolist", "item", "__array__", "__dlpack__", "data_ptr", "storage", "untyped_storage",
    "__bool__", "__int__", "__float__", "__index__", "__complex__", "__format__", "__repr__",
    "__getstate__", "__reduce_ex__", "__deepcopy__", "share_memory_", "set_", "map_", "apply_",
}  # fmt: skip


class Sealed(TorchFunctionMode):
    """Refuses what takes numbers out of a recorded tensor past the recorder."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name == "__get__":  # a property: Tensor.data is the one that copies unseen
            name = "data" if func == torch.Tensor.data.__get__ else ""  # type: ignore[attr-defined]
        leaks = name in LEAKS or name == "data"
        if leaks and args and self.recorder.position(args[0]) is not None:
            raise unsupported(
                f"numbers of the input taken out of torch by Tensor.{name}",
                "Compute with tensor operations only.",
            )
        return func(*args, **(kwargs or {}))


class Recorder(TorchDispatchMode):
    """Records the operations on one tensor as nodes; everything else counts as constant."""

    def __init__(self, x: Tensor, handlers: Mapping[str, Handler]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.handlers = handlers
        self.nodes = [Node(None, (), tuple(x.shape[1:]), 0.0, x.dtype)]
        self._known: dict[int, int] = {id(x): 0}
        self._stale: set[int] = set()
        self._alive: list[Tensor] = [x]  # an id names a tensor only while the tensor lives

    def position(self, value: Any) -> int | None:
        """Which node a tensor is, None for constants."""
        if id(value) in self._stale:
            raise unsupported(
                "a tensor that was overwritten in place under another name",
                "Replace the in-place operation, e.g. ReLU(inplace=True), by its pure form.",
            )
        return self._known.get(id(value))

    def add(self, operator: Operator | None, parents: Sequence[int], out: Tensor) -> int:
        """A new node whose value is `out`; returns its position."""
        unit = 0.0 if operator is None or operator.exact else rounding_unit(operator, out)
        self.nodes.append(Node(operator, tuple(parents), tuple(out.shape[1:]), unit, out.dtype))
        return len(self.nodes) - 1

    def constant(self, value: Any, like: Tensor) -> Tensor:
        """A constant in float64, without its rows, ready to be broadcast against one row."""
        if not isinstance(value, Tensor):
            return torch.tensor(float(value), dtype=torch.float64, device=like.device)
        fixed = value.detach().double().to(like.device)
        if fixed.dim() < like.dim():
            return fixed
        if fixed.dim() > like.dim() or not torch.equal(fixed[:1].expand_as(fixed), fixed):
            raise unsupported("a constant that differs between rows")
        return fixed[0]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise unsupported(
                f"{func}, which draws random numbers", "Call model.eval(), or certify by smoothing."
            )
        flat = [*args, *kwargs.values()]
        flat = [v for a in flat for v in (a if isinstance(a, list | tuple) else [a])]
        if all(self.position(v) is None for v in flat):
            return out
        name = str(func.overloadpacket).removeprefix("aten.")
        pure = name.removesuffix("_") if func._schema.is_mutable else name
        handler = self.handlers.get(pure)
        if handler is None:
            raise unsupported(f"the operator {name}")
        result = out[0] if isinstance(out, tuple | list) else out
        node = handler(self, args, kwargs, result)
        if func._schema.is_mutable:
            self._overwrite(result)
        self._known[id(result)] = node
        self._alive.append(result)
        return out

    def _overwrite(self, written: Tensor) -> None:
        """Other names of the memory that was written no longer mean what was recorded."""
        memory = written.untyped_storage().data_ptr()
        for other in self._alive:
            if other is not written and other.untyped_storage().data_ptr() == memory:
                self._stale.add(id(other))
