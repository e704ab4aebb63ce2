"""ONNX files as black boxes: onnxruntime carries them out, and there are no gradients."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.core.errors import ShapeError
from holdfast.readers.onnx_file import onnx_package
from holdfast.readers.onnx_rows import fits
from holdfast.readers.packed import unpacked

TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
USUAL = ("logits", "scores", "probabilities", "output")  # of several outputs the first of these


class OnnxBox(nn.Module):
    """The network of an ONNX file, run by onnxruntime.

    Args:
        session: of onnxruntime.
        entry: name of the input.
        exit: name of the output.
        contents: SHA-256 of the file, unpacked.
    """

    def __init__(self, session: Any, entry: Any, exit_: Any, contents: str) -> None:
        super().__init__()
        self.session, self.contents = session, contents
        self.entry, self.exit = entry.name, exit_.name
        self.dtype, sizes = np.dtype(TYPES[entry.type]), list(entry.shape)
        self.single = sizes[0] == 1  # rows one by one
        self.form = tuple(sizes[1:]) if all(isinstance(n, int) for n in sizes[1:]) else None
        self.classes = exit_.shape[1] if isinstance(exit_.shape[1], int) else 0
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Outputs `(B, K)` of rows `(B, ...)`.

        Raises:
            ShapeError: if rows of that shape do not fit.
        """
        given = tuple(x.shape[1:])
        if self.form is not None and given != self.form:
            if not fits(given, self.form):
                raise ShapeError(
                    f"the ONNX network takes rows of shape {self.form}, got {given}",
                    fix=f"Give data of shape (n, {', '.join(map(str, self.form))}).",
                    code="E0201",
                )
            x = x.reshape(len(x), *self.form)
        rows = x.detach().cpu().numpy().astype(self.dtype)
        parts = [rows[i : i + 1] for i in range(len(rows))] if self.single else [rows]
        found = [self._run(part) for part in parts if len(part)]
        whole = np.concatenate(found) if found else np.zeros((0, self.classes))
        return torch.from_numpy(whole).float().to(x.device)

    def _run(self, rows: np.ndarray) -> np.ndarray:
        (found,) = self.session.run([self.exit], {self.entry: rows})
        flat: np.ndarray = np.asarray(found).reshape(len(rows), -1)
        return flat


def black_box(path: Path, max_bytes: int) -> OnnxBox | None:
    """A file as onnxruntime runs it; None where it does not, or takes more than one input.

    Files that keep weights in other files are left alone: from bytes, onnxruntime would look for
    them in the folder where the user happens to be.
    """
    raw = unpacked(path, max_bytes)
    model = onnx_package().load_model_from_string(raw)
    if any(t.data_location == t.EXTERNAL for t in _tensors(model.graph)) or model.functions:
        return None
    try:
        runtime = import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        session = runtime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
    except Exception:  # it is not installed, or does not read the file
        return None
    inputs, outputs = session.get_inputs(), session.get_outputs()
    scores = [o for o in outputs if o.type in TYPES and len(o.shape) > 1]
    scores = sorted((o for o in scores if o.name in USUAL), key=_usual)[:1] or scores
    if len(inputs) != 1 or inputs[0].type not in TYPES or len(scores) != 1 or not inputs[0].shape:
        return None
    return OnnxBox(session, inputs[0], scores[0], hashlib.sha256(raw).hexdigest())


def _usual(output: Any) -> int:
    return USUAL.index(output.name)


def _tensors(graph: Any) -> Iterator[Any]:
    """All constants of a graph and of the graphs inside its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from [attribute.t] if attribute.HasField("t") else []
            yield from attribute.tensors
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from _tensors(inner)
