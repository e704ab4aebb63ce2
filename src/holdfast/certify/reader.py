"""Reads a network: runs it once on two rows and records every tensor operation on the input.

Unlike tracing of source code this reads any callable, and constants are taken as they are at
that moment. What would make the record untrue is refused: operations that are not known, values
of the input that steer Python code, rows that mix, random numbers. Last, the record is evaluated
beside the model on other inputs, and a difference is refused as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from holdfast.certify.graph import Graph, Node
from holdfast.certify.operators import Operator
from holdfast.core.errors import Unsupported
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import modules_of, quiet

TRACED_ROWS = 2
CHECKED_ROWS = 8

Handler = Callable[["Recorder", Sequence[Any], Mapping[str, Any], Tensor], int]


def unsupported(what: str, fix: str = "") -> Unsupported:
    """The refusal to read an operator."""
    known = "Linear, Conv, BatchNorm (eval), ReLU, pooling by average, sums and reshapes are read."
    return Unsupported(f"linear bounds cannot read {what}", fix=fix or known, code="E0310")


class Recorder(TorchDispatchMode):
    """Records the operations on one tensor as nodes; everything else counts as constant."""

    def __init__(self, x: Tensor, handlers: Mapping[str, Handler]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.handlers = handlers
        self.nodes = [Node(None, (), tuple(x.shape[1:]))]
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

    def add(self, operator: Operator | None, parents: Sequence[int], shape: Sequence[int]) -> int:
        """A new node; returns its position."""
        self.nodes.append(Node(operator, tuple(parents), tuple(shape)))
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


def training_parts(model: Model) -> list[str]:
    """Names of layers that behave differently because the model is in training mode."""
    kinds = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    return [
        type(part).__name__
        for module in modules_of(model)
        for part in module.modules()
        if isinstance(part, kinds) and part.training
    ]


def read(model: Model, x: Tensor, probes: Sequence[Tensor] = ()) -> Graph:
    """The graph of a model at inputs shaped like `x`.

    Args:
        model: any callable on `(B, ...)` that returns logits `(B, K)`, in eval mode.
        x: `(B, ...)` inputs; the first two rows are traced.
        probes: further inputs like `x` on which record and model must agree.

    Raises:
        Unsupported: naming the operator that cannot be read, or the reason why the record would
            not be true of the model.

    Cost: one forward of two rows, and one of at most eight rows for `x` and each probe.
    """
    from holdfast.certify.handlers import HANDLERS

    if names := training_parts(model):
        raise unsupported(f"{names[0]} in training mode", "Call model.eval() before certifying.")
    if len(x):
        start = x[torch.arange(TRACED_ROWS, device=x.device) % len(x)].detach().clone()
    else:
        start = x.new_zeros(TRACED_ROWS, *x.shape[1:])
    with quiet(model), torch.no_grad():
        recorder = Recorder(start, HANDLERS)
        with recorder:
            out = logits(model(start))
        position = recorder.position(out)
        if position is None:
            raise unsupported(
                "a model whose outputs do not depend on its input by tensor operations"
            )
        if out.dim() != 2 or len(out) != TRACED_ROWS:
            raise unsupported(f"outputs of shape {tuple(out.shape)}", "Return logits (B, K).")
        graph = Graph(tuple(recorder.nodes), position)
        for probe in (x, *probes):
            _compare(graph, model, probe[:CHECKED_ROWS])
    return graph


def _compare(graph: Graph, model: Model, x: Tensor) -> None:
    """Refuse a record that does not compute what the model computes."""
    if not len(x):
        return
    mine, theirs = graph(x), logits(model(x)).double()
    finite = mine.isfinite() & theirs.isfinite()  # non-finite outputs are never proved anyway
    scale = 1 + theirs[finite].abs().max() if finite.any() else torch.ones(())
    # Rounding grows with depth but stays far below the root of the precision.
    bound = scale * torch.finfo(x.dtype).eps ** 0.5
    if bool(((mine - theirs).abs()[finite] > bound).any()):
        raise unsupported(
            "a model that does something else on other inputs or on repeated calls",
            "Remove Python code that depends on values of the input.",
        )
