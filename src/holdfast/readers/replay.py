"""The original network of a file, run by onnxruntime where that is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

from holdfast.readers.onnx import OnnxNetwork
from holdfast.readers.onnx_file import MAX_BYTES
from holdfast.readers.packed import unpacked


class Replay:
    """Runs the file itself, so that a witness does not rest on our reading of it.

    Args:
        path: of the ONNX file.
        network: what was read from it; runs in place of the file without onnxruntime.

    Attributes:
        by: what ran, once something did.
    """

    def __init__(self, path: str | Path, network: OnnxNetwork) -> None:
        self.path, self.network, self.by = Path(path), network, ""
        self._run: Callable[[Tensor], Sequence[float]] | None = None

    def __call__(self, x: Tensor) -> Sequence[float]:
        """Outputs of one row `(1, *shape)`."""
        if self._run is None:
            self._run = self._session() or self._module
        return self._run(x)

    def _module(self, x: Tensor) -> list[float]:
        self.by = "torch"
        with torch.no_grad():
            found: list[float] = self.network(x).double().reshape(-1).tolist()
        return found

    def _session(self) -> Callable[[Tensor], Sequence[float]] | None:
        try:
            onnxruntime = import_module("onnxruntime")
        except ImportError:
            return None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        try:
            session = onnxruntime.InferenceSession(
                unpacked(self.path, MAX_BYTES), options, providers=["CPUExecutionProvider"]
            )
        except Exception:  # an operator, a version or a second file that it does not read
            return None
        name = session.get_inputs()[0].name

        def run(x: Tensor) -> list[float]:
            self.by = f"onnxruntime {onnxruntime.__version__}"
            row = (x if self.network.leading else x[0]).numpy()
            found: list[float] = session.run(None, {name: row})[0].reshape(-1).tolist()
            return found

        return run
