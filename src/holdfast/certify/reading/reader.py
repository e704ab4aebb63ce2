"""Reads a network: runs it once on two rows and records every tensor operation on the input.

Unlike tracing of source code this reads any callable, and constants are taken as they are at
that moment. What would make the record untrue is refused: operations that are not known, values
of the input that leave torch or steer Python code, rows that mix, random numbers. Last, the
record is evaluated beside the model on other inputs: what the model answers must lie within the
rounding that the record predicts, or it is refused as well.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.region import Region
from holdfast.certify.network.graph import Graph, Node
from holdfast.certify.reading.recorder import Recorder
from holdfast.certify.reading.refusals import unsupported
from holdfast.certify.reading.seal import Sealed
from holdfast.certify.reading.table import ANYWHERE, HANDLERS
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import modules_of, quiet
from holdfast.ops.interval import Box

TRACED_ROWS = 2
CHECKED_ROWS = 8
COMPILER = "torch._dynamo"


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
        recorder = Recorder(start, HANDLERS, ANYWHERE)
        try:
            with _written_out(), recorder, Sealed(recorder):
                out = logits(model(start))
        except RuntimeError as error:
            if recorder.refusal is not None:
                raise recorder.refusal from error
            raise
        placed = recorder.placed(out)
        if placed is None:
            raise unsupported(
                "a model whose outputs do not depend on its input by tensor operations"
            )
        if out.dim() != 2 or len(out) != TRACED_ROWS or not placed.layout.first:
            raise unsupported(f"outputs of shape {tuple(out.shape)}", "Return logits (B, K).")
        graph = _needed(recorder.nodes, placed.node)
        for probe in (x, *probes):
            _compare(graph, model, probe[:CHECKED_ROWS])
    return graph


@contextmanager
def _written_out() -> Iterator[None]:
    """Attention and recurrent layers as separate operations, and nothing compiled."""
    # The compiler, where it is loaded at all, would look at the recorder as well.
    eager = torch.compiler.set_stance("force_eager") if COMPILER in sys.modules else nullcontext()
    before, fused = torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled
    torch.backends.mha.set_fastpath_enabled(False)
    # Not by its `flags`: they warn about a type that they set as well.
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
    try:
        with eager, torch.backends.cudnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mkldnn.enabled = fused
        torch.backends.mha.set_fastpath_enabled(before)


def _needed(nodes: Sequence[Node], output: int) -> Graph:
    """The graph without the values that the output does not depend on."""
    kept = {0, output}
    for i in range(output, 0, -1):
        if i in kept:
            kept.update(nodes[i].parents)
    place = {old: new for new, old in enumerate(sorted(kept))}
    return Graph(
        tuple(replace(nodes[i], parents=tuple(place[p] for p in nodes[i].parents))
              for i in sorted(kept)), place[output],
    )  # fmt: skip


def _compare(graph: Graph, model: Model, x: Tensor) -> None:
    """Refuse a record that does not compute what the model computes, up to its rounding."""
    if not len(x):
        return
    points = x.double()
    # On a point boxes lose nothing: no value is bounded again.
    after = torch.full((len(points),), len(graph.nodes), device=points.device)
    bounds = propagate(graph, Region(Box(points, points), points), "ibp", after=after)
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
