"""Models whose answers others learn from: asked in evaluation mode, and never changed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.errors import ConfigError
from holdfast.core.goal import logits
from holdfast.core.quiet import quiet


def answers_of(teacher: Any, x: Any, who: str, field: str = "teacher") -> Tensor:
    """Logits of a teacher in evaluation mode, without gradient; it is left as found.

    Args:
        teacher: inputs -> logits first.
        x: inputs.
        who: needs it.
        field: of its settings, in which the teacher is handed in.

    Raises:
        ConfigError: if there is none.
    """
    if teacher is None:
        raise ConfigError(f"{who} needs a teacher", fix=f"Pass {field}=model.")
    with quiet(teacher), torch.no_grad():
        if isinstance(teacher, nn.Module):
            teacher.eval()
        return logits(teacher(x)).detach()


def linear_teachers(count: int = 1) -> list[nn.Module]:
    """Linear models of four inputs and three classes, for the laws."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return [nn.Linear(4, 3).double() for _ in range(count)]
