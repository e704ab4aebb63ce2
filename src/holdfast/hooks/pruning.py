"""Neurons that go while a model is trained."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from holdfast.compress.neurons import hidden, silence, strongest
from holdfast.core.catalog import register
from holdfast.core.fields import Inner, Share, settings
from holdfast.core.kinds import Hook, Run


@register("hook", cites="adasap", says="Prune neurons step by step in the middle of a run.")
@settings
class PruneNeurons(Hook):
    """Silences the neurons with the shortest weights, more and more of them, in mid-run.

    The share that is silent grows linearly between two points of the run; a neuron that is
    silent stays so. Before, neurons get ready (`optimizer:adasap` makes the loss flat in the weak
    ones); afterwards, what is left is tuned, and that optimizer treats all of them alike.

    Args:
        removed: share of the neurons of each hidden layer that are silent in the end.
        begin: point of the run, as a share of its steps, at which the first one goes.
        finish: point at which the last one goes.
    """

    neutral: ClassVar[dict[str, Any]] = {"removed": 0.0}

    removed: Share = 0.5
    begin: Share = 0.3
    finish: Inner = 0.6

    def gradients(self, run: Run) -> None:
        for (_, own), keep in zip(hidden(run.model), self._kept(run), strict=True):
            for t in own:
                if t.grad is not None:
                    t.grad.mul_(keep.to(t.grad).reshape(-1, *[1] * (t.dim() - 1)))

    @torch.no_grad()
    def stepped(self, run: Run) -> None:
        span = max(self.finish - self.begin, 1e-9)
        now = self.removed * min(1.0, max(0.0, (run.progress - self.begin) / span))
        if now > 0:
            # Silent neurons have length 0, the least of all, and so they stay silent.
            silence(run.model, [k & s for k, s in zip(strongest(run.model, now), self._kept(run),
                                                      strict=True)])  # fmt: skip
            run.memory(self)["kept"] = [
                layer.weight.flatten(1).ne(0).any(1) for layer, _ in hidden(run.model)
            ]
        for optimizer in getattr(run, "optimizers", ()):
            if hasattr(optimizer, "uniform"):
                optimizer.uniform = run.progress >= self.finish

    def _kept(self, run: Run) -> list[Tensor]:
        known: list[Tensor] | None = run.memory(self).get("kept")
        if known is not None:
            return known
        return [
            torch.ones(len(layer.weight), dtype=torch.bool, device=layer.weight.device)
            for layer, _ in hidden(run.model)
        ]
