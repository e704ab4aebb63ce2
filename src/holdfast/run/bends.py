"""How often a model bends what it computes: certificates pay for each time, forecasts know it."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet

CURVE, POOL = 5, 3  # how many ReLUs a smooth curve, and a maximum of several values, count as
BENDS = {
    **dict.fromkeys(("relu", "leaky_relu", "hardtanh", "clamp", "clamp_min", "abs"), 1),
    **dict.fromkeys(("tanh", "sigmoid", "gelu", "silu", "elu", "softplus", "hardswish"), CURVE),
    **dict.fromkeys(("mish", "hardsigmoid", "_softmax", "exp", "sin", "reciprocal"), CURVE),
    **dict.fromkeys(("max_pool2d", "max_pool2d_with_indices", "max_pool1d", "amax"), POOL),
}


class _Counted(TorchDispatchMode):
    """Counts the bends among all operations of a block."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bends = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.bends += BENDS.get(func.overloadpacket.__name__.removesuffix("_"), 0)
        return func(*args, **(kwargs or {}))


def bends(model: Model, x: Any) -> int:
    """Number of bends on the way through a model, the dearer ones counted several times.

    Operations are counted as they run, so it makes no difference how a model is written.

    Args:
        model: inputs -> logits first.
        x: its inputs; one row is enough.

    Cost: one forward.
    """
    counted = _Counted()
    with quiet(model), torch.no_grad(), counted:
        model(x)
    return counted.bends
