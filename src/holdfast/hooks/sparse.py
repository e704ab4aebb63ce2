"""What sparse models need while they are trained: zeros that stay, penalties that grow slowly."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.compress.sites import sites
from holdfast.core.catalog import register
from holdfast.core.fields import Share, settings
from holdfast.core.kinds import Hook, Run


@register("hook", cites="sparsified-model-zoos", says="Weights that are zero stay zero.")
@settings
class KeepZeros(Hook):
    """What of linear and convolutional weights is zero as a run starts is zero at its end.

    The gradient of a zero weight is removed, so that momentum never builds up, and after each
    step the weight is set to zero again, whatever decay or noise has done. So a pruned model can be
    tuned without masks in its layers.
    """

    def start(self, run: Run) -> None:
        run.memory(self)["kept"] = {n: w.detach() != 0 for n, w in sites(run.model).items()}

    @torch.no_grad()
    def gradients(self, run: Run) -> None:
        kept: dict[str, Tensor] = run.memory(self)["kept"]
        for name, w in sites(run.model).items():
            if w.grad is not None:
                w.grad.mul_(kept[name])

    @torch.no_grad()
    def stepped(self, run: Run) -> None:
        kept: dict[str, Tensor] = run.memory(self)["kept"]
        for name, w in sites(run.model).items():
            w.mul_(kept[name])


@register("hook", cites="sparsified-model-zoos", says="Raises the penalty of noisy weights slowly.")
@settings
class Anneal(Hook):
    """The penalty of variational layers grows from nothing to its full weight.

    In full from the start it makes all weights noise before any has learned what it is for.

    Args:
        until: share of the run over which it grows.
    """

    until: Share = 0.5

    @torch.no_grad()
    def start(self, run: Run) -> None:
        self._set(run)

    @torch.no_grad()
    def stepped(self, run: Run) -> None:
        self._set(run)

    def _set(self, run: Run) -> None:
        value = 1.0 if self.until == 0 else min(1.0, run.progress / self.until)
        for module in run.model.modules():
            weight = getattr(module, "weight", None)
            if callable(getattr(module, "penalty", None)) and isinstance(weight, Tensor):
                if weight.dim() == 0:
                    weight.fill_(value)
