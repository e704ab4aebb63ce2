"""Refuses what takes numbers out of recorded tensors past the recorder."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from holdfast.certify.reading.recorder import Recorder
from holdfast.certify.reading.refusals import unsupported

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
