"""Averages of the weights along a run."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.fields import Decay, settings
from holdfast.core.kinds import Hook, Run, State


@register("hook", cites="swa-ema", name="ema", says="Exponential moving average of the weights.")
@settings
class EMA(Hook):
    """Exponential moving average: keeps a mean of the weights and ends the run with it.

    After step t the mean is `(1 - d) sum_s d^(t-s) w_s / (1 - d^t)`: it starts at zero and is
    corrected for that, so the weights before training do not count. Half of it is younger than
    `ln 2 / (1 - d)` steps. Means are kept in float32 or wider, since in half precision small
    moves would round to nothing. Running statistics are averaged like weights; whole numbers
    are those of the last step. Steps that overflowed do not count.

    Args:
        decay: d, in [0, 1); 0 keeps the last weights.
        swap: put the mean into the model when the run ends.
    """

    neutral: ClassVar[dict[str, Any]] = {"decay": 0.0}

    decay: Decay = 0.999
    swap: bool = True

    @torch.no_grad()
    def stepped(self, run: Run) -> None:
        memory = run.memory(self)
        memory["count"] = memory.get("count", 0) + 1
        means: dict[str, Tensor] = memory.setdefault("means", {})
        for name, value in run.model.state_dict().items():
            if not value.is_floating_point():
                continue
            wide = value.to(torch.promote_types(value.dtype, torch.float32))
            if name not in means:
                means[name] = torch.zeros_like(wide)
            means[name].lerp_(wide, 1 - self.decay)

    def end(self, run: Run) -> None:
        if self.swap and run.memory(self).get("count"):
            run.model.load_state_dict(self.averaged(run))

    def averaged(self, run: Run) -> State:
        """The weights with the mean in place of the last ones; before any step, the weights.

        Args:
            run: a run that this hook has watched.
        """
        memory, state = run.memory(self), run.model.state_dict()
        corrected = 1 - self.decay ** memory.get("count", 0)
        means: dict[str, Tensor] = memory.get("means", {})
        return {
            name: (means[name] / corrected).to(value.dtype) if name in means else value.clone()
            for name, value in state.items()
        }
