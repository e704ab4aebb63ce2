"""ONNX files as modules of torch.

The file is data: it is parsed by the `onnx` package (extra `onnx`), its weights become buffers,
its nodes are carried out one after the other by operations of torch, and nothing in it is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.core.errors import HoldfastError, ShapeError, Unsupported
from holdfast.readers.onnx_file import MAX_BYTES, OnnxFile, read_file
from holdfast.readers.onnx_operators import OPERATORS, Step, Value

TRIED_ROWS = 3
AGREE = 1e-4  # of the largest output: rounding of float32 by another order of summation
# Their constants must be known beforehand, floating-point ones too.
SETTINGS = {"Clip", "Pad", "Resize", "Upsample", "Range"}


def read_onnx(path: str | Path, *, max_bytes: int = MAX_BYTES) -> OnnxNetwork:
    """The network of an ONNX file, packed by gzip or not, in evaluation mode.

    Raises:
        MissingExtra: without the package onnx.
        UntrustedFile: if it is no ONNX file, is larger than allowed, or keeps weights elsewhere
            than in its own folder.
        Unsupported: naming the operator and the node that cannot be read.

    Cost: seven forwards of one row, to see whether rows can go through together.
    """
    return OnnxNetwork(read_file(Path(path), max_bytes=max_bytes)).eval()


def carried_out(step: Step, values: Sequence[Value]) -> tuple[Any, ...]:
    """What a step gives; arrays where it was given arrays only.

    Raises:
        Unsupported: naming the node, if torch cannot do what it asks.
    """
    try:
        out = OPERATORS[step.operator](step, values)
    except HoldfastError:
        raise
    except Exception as error:
        raise step.refuse(f"{type(error).__name__}: {str(error)[:300]}") from error
    out = out if isinstance(out, tuple) else (out,)
    if any(isinstance(value, Tensor) for value in values):
        return out
    return tuple(v.numpy() if isinstance(v, Tensor) else v for v in out)


class OnnxNetwork(nn.Module):
    """The network of an ONNX file on rows `(B, ...)`.

    Where the file fixes a leading 1, it stands for the rows. A network whose operations cannot be
    written for several rows at once is carried out row by row, which gives the same numbers.

    Args:
        file: what was read.

    Attributes:
        shape: of one row of the input.
        dtype: of the input.
        digest: SHA-256 of the file, unpacked.
        outputs: how many numbers a row gives.
        by_row: whether rows go through one by one.
    """

    def __init__(self, file: OnnxFile) -> None:
        super().__init__()
        self.entry, self.exit = file.entry, file.exit
        self.shape, self.dtype, self.leading = file.shape, file.dtype, file.leading
        self.digest = file.digest
        self.steps, self.constants = _folded(file)
        self._buffer_of: dict[str, str] = {}
        for name in sorted({name for step in self.steps for name in step.inputs}):
            value = self.constants.get(name)
            if value is not None and value.dtype.kind == "f":
                self._buffer_of[name] = f"constant_{len(self._buffer_of)}"
                self.register_buffer(self._buffer_of[name], torch.from_numpy(np.array(value)))
        self.by_row = False
        self.outputs = self._tried()

    def forward(self, x: Tensor) -> Tensor:
        """Outputs `(B, ...)` of rows `(B, *shape)`."""
        if tuple(x.shape[1:]) != self.shape or x.dim() == 0:
            raise ShapeError(
                f"the ONNX network takes rows of shape {self.shape}, got {tuple(x.shape)}",
                fix=f"Reshape to (B, {', '.join(map(str, self.shape))}).",
                code="E0201",
            )
        if not self.by_row:
            return self._together(x)
        parts = [self._alone(x[i : i + 1]) for i in range(len(x))]
        return torch.cat(parts) if parts else x.new_zeros(0, self.outputs)

    def _alone(self, x: Tensor) -> Tensor:
        """One row, exactly as the file says."""
        found = self._pass(x if self.leading else x[0], 1)
        return found if found.dim() > 1 and len(found) == 1 else found.reshape(1, -1)

    def _together(self, x: Tensor) -> Tensor:
        """All rows at once."""
        found = self._pass(x, len(x))
        if found.dim() < 2 or len(found) != len(x):
            raise Unsupported(
                "an ONNX network that does not keep its rows apart",
                fix="Export it with a free first dimension (dynamic_axes).",
            )
        return found

    def _pass(self, x: Tensor, rows: int) -> Tensor:
        values: dict[str, Any] = {self.entry: x, "": None}
        for step in self.steps:
            given = [values[n] if n in values else self._constant(n, step) for n in step.inputs]
            own = step if rows == 1 else replace(step, rows=rows)
            values.update(zip(step.outputs, carried_out(own, given), strict=False))
            values[""] = None
        found = values.get(self.exit)
        if not isinstance(found, Tensor):
            raise Unsupported(
                "the outputs of the ONNX network do not depend on its input",
                fix="Export the network itself, not its constants.",
            )
        return found

    def _constant(self, name: str, step: Step) -> Value:
        if name in self._buffer_of and step.operator not in SETTINGS:
            buffer: Tensor = getattr(self, self._buffer_of[name])
            return buffer
        return self.constants[name]

    def _tried(self) -> int:
        """Let rows through one by one and together; how many numbers a row gives."""
        draws = torch.Generator().manual_seed(0)
        with torch.no_grad():
            x = torch.randn(TRIED_ROWS, *self.shape, generator=draws).abs().to(self.dtype)
            alone = torch.cat([self._alone(x[i : i + 1]) for i in range(TRIED_ROWS)])
            try:
                together = self._together(x)
            except HoldfastError:
                self.by_row = True
                return alone[0].numel()
        one, all_ = alone.flatten(1).double(), together.flatten(1).double()
        scale = 1 + one.nan_to_num(0, 0, 0).abs().max() if one.numel() else torch.ones(())
        self.by_row = one.shape != all_.shape or not torch.allclose(
            all_, one, rtol=0, atol=float(AGREE * scale), equal_nan=True
        )
        return alone[0].numel()


def _folded(file: OnnxFile) -> tuple[tuple[Step, ...], dict[str, np.ndarray[Any, Any]]]:
    """Steps that depend on the input, and constants with what the other steps make of them."""
    constants, kept = dict(file.constants), []
    for step in file.steps:
        if any(name and name not in constants for name in step.inputs):
            kept.append(step)
            continue
        out = carried_out(step, [constants.get(name) for name in step.inputs])
        constants |= {name: np.asarray(v) for name, v in zip(step.outputs, out, strict=False)}
    return tuple(kept), constants
