"""Averages of the weights along a run."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Decay, Ingredient, ingredient, settings
from holdfast.core.kinds import Hook, Run, State
from holdfast.run.restated import restated


@register("hook", cites="swa-ema", name="ema", says="Exponential moving average of the weights.")
@settings
class EMA(Hook):
    """Exponential moving average: keeps a mean of the weights and ends the run with it.

    After step t the mean is `(1 - d) sum_s d^(t-s) w_s / (1 - d^t)`: it starts at zero and is
    corrected for that, so the weights before training do not count. Half of it is younger than
    `ln 2 / (1 - d)` steps. Means are kept in float32 or wider, since in half precision small
    moves would round to nothing. Whole numbers are those of the last step. Steps that
    overflowed do not count.

    Running statistics of batch normalisation are averaged like weights unless said otherwise:
    they are those of the nets along the way, and of attacked rows where those were trained on.
    That is close as long as the weights move little within the memory of the mean. Where they
    do not (long memories, large rates), the mean net's activations vary less than its
    statistics say, and it answers worse than it could: ask for `fresh` ones, estimated for its
    own weights on rows as they are.

    Cost per step: one look at each weight; fresh statistics take one forward pass over the rows
    at the end.

    Args:
        decay: d, in [0, 1); 0 keeps the last weights.
        swap: put the mean into the model when the run ends.
        statistics: `mean` over the steps, those of the `last` step, or `fresh` from the rows.
        rows: the training data, for fresh statistics; labels are not looked at.

    Raises:
        ConfigError: when a run starts, for fresh statistics without rows.
    """

    neutral: ClassVar[dict[str, Any]] = {"decay": 0.0}

    decay: Decay = 0.999
    swap: bool = True
    statistics: Literal["mean", "last", "fresh"] = "mean"
    rows: Ingredient[Batches] = ingredient()

    def start(self, run: Run) -> None:
        if self.statistics == "fresh" and self.rows is None:
            raise ConfigError(
                "EMA: fresh statistics need rows to be estimated on",
                fix="Pass rows=..., the training data, or statistics='mean'.",
            )

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
        weights = dict(run.model.named_parameters(remove_duplicate=False))
        kept = weights if self.statistics == "last" else state
        found = {
            name: (means[name] / corrected).to(value.dtype)
            if name in means and name in kept
            else value.clone()
            for name, value in state.items()
        }
        if self.statistics == "fresh" and means and self.rows is not None:
            return restated(run.model, found, self.rows)
        return found
