"""Rows under one shared change, and the gradient that they give it together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from holdfast.attacks.contest import own
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Goal
from holdfast.core.kinds import Model, Threat


@dataclass(frozen=True)
class SharedRows:
    """Rows under one shared change.

    Args:
        model: under attack.
        x: `(B, ...)` inputs.
        goal: of each row.
        threat: a shared one.
        ceiling: loss of a row in nats above which it counts as lost for good.
        climb: the `soft` loss, or minus the logit of the row's `own` answer, without a ceiling.
    """

    model: Model
    x: Tensor
    goal: Goal
    threat: Threat
    ceiling: float
    climb: Literal["soft", "own"] = "soft"

    def take(self, rows: Tensor) -> SharedRows:
        """Some of the rows."""
        goal, threat = self.goal.take(rows), self.threat.take(rows)
        return SharedRows(self.model, self.x[rows], goal, threat, self.ceiling, self.climb)

    def gradient(self, change: Tensor) -> Tensor:
        """`(1, ...)`: mean gradient of the loss, of which rows above the ceiling have no part."""
        with torch.enable_grad():
            moved = change.detach().requires_grad_()
            spread = moved.expand(len(self.x), *moved.shape[1:])
            outputs = self.threat.through(self.model, self.x, spread)
            if self.climb == "own":
                loss = own(self.goal, outputs)
            else:
                loss = self.goal.soft(outputs).clamp(max=self.ceiling)
            if not loss.requires_grad:
                raise Unsupported(
                    f"no gradient reaches the change under {self.threat.spec}",
                    fix="Use a score attack (attack:square) on the shared threat.",
                )
            (found,) = torch.autograd.grad(loss.sum(), moved, allow_unused=True)
        found = torch.zeros_like(change) if found is None else found
        return found.nan_to_num(0.0, 0.0, 0.0) / max(len(self.x), 1)
