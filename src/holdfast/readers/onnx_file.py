"""What an ONNX file says: its steps, constants, input and output. Nothing is carried out here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch

from holdfast.core.errors import MissingExtra, Unsupported
from holdfast.core.nearest import nearest
from holdfast.readers.onnx_operators import OPERATORS, Step
from holdfast.readers.onnx_operators.elementwise import TYPES
from holdfast.readers.onnx_operators.step import MAX_NUMBERS
from holdfast.readers.onnx_weights import array, refused
from holdfast.readers.packed import unpacked

MAX_BYTES = 2 << 30  # the format itself ends here
OWN = ("", "ai.onnx")
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """The contents of a file.

    Args:
        steps: in an order in which they can be carried out.
        constants: weights by name.
        entry: name of the input.
        exit: name of the output.
        shape: of one row of the input.
        dtype: of the input.
        leading: whether the input has an axis for rows, a leading 1 or one of open size.
        digest: SHA-256 of the file, unpacked.
    """

    steps: tuple[Step, ...]
    constants: dict[str, Array]
    entry: str
    exit: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    leading: bool
    digest: str


def onnx_package() -> Any:
    """The package that parses the format.

    Raises:
        MissingExtra: if it is not installed.
    """
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError:
        raise MissingExtra(
            "reading ONNX files needs the package onnx", fix="pip install 'holdfast[onnx]'",
            code="E0603",
        ) from None  # fmt: skip
    return onnx


def read_file(path: Path, *, max_bytes: int = MAX_BYTES) -> OnnxFile:
    """Parse a file, packed by gzip or not.

    Raises:
        MissingExtra: without the package onnx.
        UntrustedFile: if it is no ONNX file, is larger than allowed, or points to files elsewhere.
        Unsupported: naming an operator that is not read, and the nearest one that is.
    """
    onnx = onnx_package()
    raw = unpacked(path, max_bytes)
    try:
        model = onnx.load_model_from_string(raw)
    except Exception as error:
        raise refused(path, f"is no ONNX file: {error}") from None
    graph = model.graph
    version = max((o.version for o in model.opset_import if o.domain in OWN), default=0)
    if not version or not graph.output:
        raise refused(path, "is no ONNX network: it names no operator set or no output")
    constants = {t.name: array(onnx, t, path) for t in graph.initializer}
    if graph.sparse_initializer:
        raise Unsupported(
            "sparse weights of an ONNX network", code="E0320", fix="Save it with dense weights."
        )
    entry, shape, dtype, leading = _input(graph, constants)
    if len(graph.output) > 1:
        names = ", ".join(o.name for o in graph.output)
        raise Unsupported(
            f"an ONNX network with several outputs: {names}", fix="Export it with one output.",
            code="E0320",
        )  # fmt: skip
    steps = tuple(_step(onnx, node, i, version, path) for i, node in enumerate(graph.node))
    _ordered(steps, {entry, *constants}, graph.output[0].name, path)
    return OnnxFile(
        steps, constants, entry, graph.output[0].name, shape, dtype, leading,
        hashlib.sha256(raw).hexdigest(),
    )  # fmt: skip


def _input(graph: Any, constants: Iterable[str]) -> tuple[str, tuple[int, ...], torch.dtype, bool]:
    """Name, shape of a row, type and whether there is an axis for rows."""
    inputs = [i for i in graph.input if i.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(i.name for i in inputs) or "none"
        raise Unsupported(
            f"an ONNX network with {len(inputs)} inputs ({names})",
            fix="Export it with one input.", code="E0320",
        )  # fmt: skip
    kind = inputs[0].type.tensor_type
    sizes = [d.dim_value for d in kind.shape.dim]  # 0: open
    leading = len(sizes) > 1 and sizes[0] in (0, 1)
    shape = tuple(sizes[1:] if leading else sizes)
    if not shape or 0 in shape or prod(shape) > MAX_NUMBERS or kind.elem_type not in TYPES:
        raise Unsupported(
            f"an ONNX network with input {inputs[0].name} of shape {sizes} (0: open) and type "
            f"{kind.elem_type}",
            fix="Only the first size, the number of rows, may be left open.", code="E0320",
        )  # fmt: skip
    return inputs[0].name, shape, TYPES[kind.elem_type], leading


def _step(onnx: Any, node: Any, place: int, version: int, path: Path) -> Step:
    name = node.name or f"{node.op_type} {place}"
    if node.domain not in OWN or node.op_type not in OPERATORS:
        full = f"{node.domain}.{node.op_type}" if node.domain not in OWN else node.op_type
        own = {f"onnx:{known.lower()}": known for known in OPERATORS}
        near = [own[key] for key in nearest(f"onnx:{node.op_type}", own)]
        fix = f"The nearest that is read: {', '.join(near)}." if near else ""
        raise Unsupported(
            f"ONNX operator {full} (node {name!r}) is not read",
            fix=fix or "Export the network with operators of the standard set.",
            code="E0321",
        )
    attributes = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif isinstance(value, onnx.TensorProto):
            value = array(onnx, value, path)
        elif isinstance(value, onnx.GraphProto):
            raise Unsupported(
                f"ONNX node {name!r} holds a graph of its own",
                code="E0321",
                fix="Export it without branches and loops.",
            )
        elif not isinstance(value, int | float):
            value = list(value)
        attributes[attribute.name] = value
    return Step(node.op_type, name, version, attributes, tuple(node.input), tuple(node.output))


def _ordered(steps: Iterable[Step], known: set[str], exit_: str, path: Path) -> None:
    """Refuse steps that take what does not exist yet, or give what exists already."""
    known = {*known, ""}
    for step in steps:
        if missing := [name for name in step.inputs if name not in known]:
            raise refused(path, f"takes {missing[0]!r} in node {step.name!r} before it exists")
        if twice := [name for name in step.outputs if name and name in known]:
            raise refused(path, f"gives {twice[0]!r} a second value in node {step.name!r}")
        known.update(step.outputs)
    if exit_ not in known:
        raise refused(path, f"never computes its output {exit_!r}")
