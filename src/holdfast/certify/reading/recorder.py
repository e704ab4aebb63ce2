"""Records every tensor operation on one input, and refuses what would get past the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from holdfast.certify.network.bends import Bend
from holdfast.certify.network.graph import Node, rounding_unit
from holdfast.certify.network.operators import Operator
from holdfast.certify.reading.layout import ROWS_FIRST, Layout, Placed, Shape
from holdfast.certify.reading.memory import overlap
from holdfast.certify.reading.refusals import NEAREST, unsupported
from holdfast.core.errors import Unsupported

Found = int | Placed | None  # a value with its rows first; anywhere; a constant
Handler = Callable[["Recorder", Sequence[Any], Mapping[str, Any], Any], Found | list[Found]]


class Recorder(TorchDispatchMode):
    """Records the operations on one tensor as nodes; everything else counts as constant.

    A handler turns one operation into nodes. Those in `anywhere` know how to deal with rows that
    are not the first axis; the others only see tensors whose rows are.
    """

    def __init__(
        self, x: Tensor, handlers: Mapping[str, Handler], anywhere: Mapping[str, Handler]
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.handlers, self.anywhere = handlers, anywhere
        self.rows = len(x)
        self.nodes = [Node(None, (), tuple(x.shape[1:]), 0.0, x.dtype)]
        self.func: Any = None  # the operation that is being recorded
        self.refusal: Unsupported | None = None  # why it cannot be, where it cannot
        self._known: dict[int, Placed] = {id(x): Placed(0, ROWS_FIRST, tuple(x.shape))}
        self._lost: dict[int, tuple[str, str]] = {}
        self._fresh: set[int] = set()  # constants made meanwhile, in memory of their own
        self._alive: list[Tensor] = [x]  # an id names a tensor only while the tensor lives

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: torch would load its compiler, seconds of work; the reader keeps it away itself."""
        return False

    def placed(self, value: Any) -> Placed | None:
        """Which value of the graph a tensor is, None for constants."""
        if id(value) in self._lost:
            raise unsupported(*self._lost[id(value)])
        return self._known.get(id(value))

    def position(self, value: Any) -> int | None:
        """Which node a tensor is, None for constants."""
        placed = self.placed(value)
        return None if placed is None else placed.node

    def add(
        self, operator: Operator | Bend, parents: Sequence[int], out: Tensor, *,
        shape: Shape | None = None, rounded: bool = True, extra: int = 0,
        dtype: torch.dtype | None = None,
    ) -> int:  # fmt: skip
        """A new node; returns its position.

        Args:
            operator: how it comes from its parents.
            parents: positions.
            out: the model's tensor, for its type, and its shape unless that is given.
            shape: of one row.
            rounded: False for a step inside of an operation that the model takes as one; the last
                step then has `extra` roundings for all of them.
            extra: roundings besides those of the operator itself.
            dtype: whose range the value must not leave, unless that of `out`.
        """
        exact = operator.exact if isinstance(operator, Operator) else False
        unit = 0.0 if exact or not rounded else rounding_unit(operator, out)
        kept = ROWS_FIRST.shape(tuple(out.shape)) if shape is None else shape
        self.nodes.append(Node(operator, tuple(parents), kept, unit, dtype or out.dtype, extra))
        return len(self.nodes) - 1

    def constant(self, value: Any, like: Tensor, layout: Layout = ROWS_FIRST) -> Tensor:
        """A constant in float64, without its rows, ready to be broadcast against one row."""
        if not isinstance(value, Tensor):
            return torch.tensor(float(value), dtype=torch.float64, device=like.device)
        fixed = value.detach().double().to(like.device)
        if fixed.dim() == 0 or (layout.first and fixed.dim() < like.dim()):
            return fixed
        if fixed.dim() > like.dim():
            raise unsupported("a constant with more axes than the result")
        rows = layout.turned(fixed.expand(like.shape), self.rows)
        if not torch.equal(rows[:1].expand_as(rows), rows):
            raise unsupported("a constant that differs between rows")
        return rows[0]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        try:
            return self._record(func, args, kwargs or {})
        except Unsupported as no:
            self.refusal = no  # compiled programs raise an error of their own in its place
            raise

    def _record(self, func: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
        """Run one operation and add what it computes."""
        changes = func._schema.is_mutable
        written = args[0] if changes else None
        before = args
        if isinstance(written, Tensor) and id(written) in self._fresh:
            before = (written.clone(), *args[1:])  # the constant as it was
        out = func(*args, **kwargs)
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise unsupported(
                f"{func}, which draws random numbers", "Call model.eval(), or certify by smoothing."
            )
        flat = [*args, *kwargs.values()]
        flat = [v for a in flat for v in (a if isinstance(a, list | tuple) else [a])]
        if any(id(v) in self._lost for v in flat):
            self._lose(out, next(self._lost[id(v)] for v in flat if id(v) in self._lost), changes)
            return out
        places = [p for p in map(self.placed, flat) if p is not None]
        if not places:
            self._constants(flat, out)
            return out
        if changes and self.placed(written) is None and id(written) not in self._fresh:
            raise unsupported("a value of the input written into a constant tensor")
        self.func = func
        handler = self._handler(func, places)
        try:
            found = handler(self, before, kwargs, out)
        except (IndexError, RuntimeError, TypeError, ValueError) as error:
            raise unsupported(f"{func} called with these arguments ({error})") from error
        if isinstance(written, Tensor):
            self._overwrite(written)
        self._keep(out, found)
        return out

    def _lose(self, out: Any, why: tuple[str, str], changes: bool) -> None:
        """What is made of a tensor that must not be used must not be used either."""
        if changes:
            raise unsupported(*why)
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, Tensor):
                self._alive.append(tensor)
                self._lost[id(tensor)] = why

    def _constants(self, flat: Sequence[Any], out: Any) -> None:
        """Remember constants that share no memory with tensors from outside of the record."""
        outside = {v.untyped_storage().data_ptr() for v in flat
                   if isinstance(v, Tensor) and id(v) not in self._fresh}  # fmt: skip
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() not in outside:
                self.fresh(tensor)

    def fresh(self, tensor: Tensor) -> None:
        """Remember a constant that was made meanwhile, in memory of its own."""
        self._alive.append(tensor)
        self._fresh.add(id(tensor))

    def _handler(self, func: Any, places: Sequence[Placed]) -> Handler:
        name = str(func.overloadpacket).removeprefix("aten.")
        pure = name.removesuffix("_") if func._schema.is_mutable else name
        handler = self.anywhere.get(pure)
        if handler is None and all(p.layout.first for p in places):
            handler = self.handlers.get(pure)
        if handler is None and pure in self.handlers:
            raise unsupported(f"the operator {name} on a tensor whose rows are not its first axis")
        if handler is None:
            raise unsupported(f"the operator {name}", NEAREST.get(pure, ""))
        return handler

    def _keep(self, out: Any, found: Found | list[Found]) -> None:
        """Remember which values the results are; those without a value must not be used."""
        outs = list(out) if isinstance(out, tuple | list) else [out]
        values = found if isinstance(found, list) else [found]
        for i, tensor in enumerate(outs):
            if not isinstance(tensor, Tensor):
                continue
            value = values[i] if i < len(values) else None
            self._alive.append(tensor)
            if value is not None:
                self._fresh.discard(id(tensor))
            if i >= len(values) and tensor.numel():
                self._lost[id(tensor)] = ("a second result of an operation that is read", "")
            elif isinstance(value, Placed):
                self._known[id(tensor)] = value
            elif value is not None:
                self._known[id(tensor)] = Placed(value, ROWS_FIRST, tuple(tensor.shape))

    def _overwrite(self, written: Tensor) -> None:
        """Other names of the memory that was written no longer mean what was recorded."""
        for other in self._alive:
            if other is not written and overlap(written, other):
                self._lost[id(other)] = (
                    "a tensor that was overwritten in place under another name",
                    "Replace the in-place operation, e.g. ReLU(inplace=True), by its pure form.",
                )
