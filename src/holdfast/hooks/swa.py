"""The plain mean of the weights at the ends of the last epochs."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Ingredient, Share, ingredient, settings
from holdfast.core.kinds import Hook, Run, State
from holdfast.run.restated import restated


@register(
    "hook", cites="weight-averaging-at", name="swa",
    says="The mean of the weights at the ends of the last epochs.",
)  # fmt: skip
@settings
class SWA(Hook):
    """Stochastic weight averaging: ends the run with the mean of the last epochs' weights.

    Every epoch that ends after `after` of the run counts the same. A rate that stays large in
    that phase (`schedule="constant"`) keeps the weights moving around a wide optimum, whose
    middle the mean finds. Attacks in training see the weights as they are, never the mean. Sums
    are kept in float32 or wider; whole numbers are those of the last epoch.

    Statistics of batch normalisation are by default the means of those along the way, which
    saw the rows that were trained on, attacked ones included; `fresh` ones are estimated for the
    mean weights on rows as they are.

    Cost per epoch: one look at each weight; fresh statistics take one forward pass over the rows
    at the end.

    Args:
        after: share of the run before which no epoch counts.
        swap: put the mean into the model when the run ends.
        statistics: `mean` over the epochs, or `fresh` from the rows.
        rows: the training data, for fresh statistics.

    Raises:
        ConfigError: when a run starts, for fresh statistics without rows.
    """

    neutral: ClassVar[dict[str, Any]] = {"after": 1.0}

    after: Share = 0.75
    swap: bool = True
    statistics: Literal["mean", "fresh"] = "mean"
    rows: Ingredient[Batches] = ingredient()

    def start(self, run: Run) -> None:
        if self.statistics == "fresh" and self.rows is None:
            raise ConfigError(
                "SWA: fresh statistics need rows to be estimated on",
                fix="Pass rows=..., the training data, or statistics='mean'.",
            )

    @torch.no_grad()
    def epoch(self, run: Run) -> None:
        if run.progress <= self.after + 1e-9:
            return
        memory = run.memory(self)
        memory["count"] = memory.get("count", 0) + 1
        means: dict[str, Tensor] = memory.setdefault("means", {})
        for name, value in run.model.state_dict().items():
            if value.is_floating_point():
                wide = value.to(torch.promote_types(value.dtype, torch.float32))
                means.setdefault(name, torch.zeros_like(wide)).lerp_(wide, 1 / memory["count"])

    def end(self, run: Run) -> None:
        if self.swap and run.memory(self).get("count"):
            run.model.load_state_dict(self.averaged(run))

    def averaged(self, run: Run) -> State:
        """The weights with the mean in place of the last ones; before any counts, the weights."""
        means: dict[str, Tensor] = run.memory(self).get("means", {})
        found = {
            name: means[name].to(value.dtype) if name in means else value.clone()
            for name, value in run.model.state_dict().items()
        }
        if self.statistics == "fresh" and means and self.rows is not None:
            return restated(run.model, found, self.rows)
        return found
