"""Half precision: where to compute in fewer bits, and how to keep small gradients alive."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import nn

Precision = Literal["full", "bf16", "fp16"]
_AS_IT_IS = nullcontext()
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def casting(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """The context in which matrix products use fewer bits; nothing at full precision."""
    if precision == "full":
        return _AS_IT_IS
    return torch.autocast(device.type, dtype=_TYPES[precision])


class Scaler:
    """Multiplies the loss so that gradients survive fp16, and divides it out again.

    An overflow leaves no gradient at all, which every optimizer takes as "do not move", and
    halves the factor; after `patience` good steps it doubles. The factor is a power of two,
    so that scaling itself never rounds.

    Args:
        precision: only fp16 is scaled.
        memory: where the factor is kept between steps and in checkpoints.
        patience: good steps before the factor doubles.
    """

    def __init__(self, precision: Precision, memory: dict[str, Any], patience: int = 2000) -> None:
        self.active, self.memory, self.patience = precision == "fp16", memory, patience
        memory.setdefault("factor", 2.0**16 if self.active else 1.0)
        memory.setdefault("good", 0)

    @property
    def factor(self) -> float:
        """What the loss is multiplied with."""
        return float(self.memory["factor"])

    def unscale(self, parameters: Iterable[nn.Parameter]) -> bool:
        """Divide the gradients by the factor; False after an overflow, when they are dropped."""
        if not self.active:
            return True
        trained = [p for p in parameters if p.grad is not None]
        gradients = [p.grad for p in trained if p.grad is not None]
        finite = (
            all(bool(f) for f in torch.stack([g.isfinite().all() for g in gradients]).cpu())
            if gradients
            else True
        )
        if finite:
            for gradient in gradients:
                gradient.div_(self.factor)
            return True
        for p in trained:
            p.grad = None
        return False

    def update(self, finite: bool) -> None:
        """After a step: adapt the factor."""
        if not self.active:
            return
        good = self.memory["good"] + 1 if finite else 0
        if not finite:
            self.memory["factor"] = max(self.factor / 2, 1.0)
        elif good >= self.patience:
            self.memory["factor"], good = self.factor * 2, 0
        self.memory["good"] = good
