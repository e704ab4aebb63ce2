"""Reads a network: runs it once on two rows and records every tensor operation on the input.

Unlike tracing of source code this reads any callable, and constants are taken as they are at
that moment. What would make the record untrue is refused: operations that are not known, values
of the input that leave torch or steer Python code, rows that mix, random numbers. Last, the
record is evaluated beside the model on other inputs: what the model answers must lie within the
rounding that the record predicts, or it is refused as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from holdfast.certify.bounds import propagate
from holdfast.certify.graph import Graph
from holdfast.certify.handlers import HANDLERS
from holdfast.certify.recorder import Recorder, Sealed, unsupported
from holdfast.certify.region import Region
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import modules_of, quiet
from holdfast.ops.interval import Box

TRACED_ROWS = 2
CHECKED_ROWS = 8


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
    if names := training_parts(model):
        raise unsupported(f"{names[0]} in training mode", "Call model.eval() before certifying.")
    if len(x):
        start = x[torch.arange(TRACED_ROWS, device=x.device) % len(x)].detach().clone()
    else:
        start = x.new_zeros(TRACED_ROWS, *x.shape[1:])
    with quiet(model), torch.no_grad():
        recorder = Recorder(start, HANDLERS)
        with recorder, Sealed(recorder):
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
    """Refuse a record that does not compute what the model computes, up to its rounding."""
    if not len(x):
        return
    points = x.double()
    bounds = propagate(graph, Region(Box(points, points), points), "ibp")
    low, high = bounds.boxes[graph.output]
    mine, theirs = graph(x), logits(model(x)).double()
    if theirs.shape != mine.shape:
        raise unsupported("a model whose outputs change their shape with the number of rows")
    # Where the record overflows or is not finite nothing will be proved.
    known = (low.isfinite() & high.isfinite() & mine.isfinite()) & ~bounds.overflow[:, None]
    outside = ~((theirs >= low) & (theirs <= high))  # true for NaN as well
    scale = 1 + mine[known].abs().max() if known.any() else torch.ones(())
    # The predicted rounding grows fast with depth; what is seen stays below this root.
    far = (mine - theirs).abs() > scale * torch.finfo(x.dtype).eps ** 0.5
    if bool((known & (outside | far)).any()):
        raise unsupported(
            "a model that does something else on other inputs or on repeated calls",
            "Remove Python code that depends on values of the input.",
        )
