"""Learning below a layer that gives no gradient: the error itself, randomly projected."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.fields import Natural, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Backward, Objective, Run


@register(
    "backward", cites="opu-defense", says="The error, randomly projected past blocked layers."
)
@settings
class DirectFeedback(Backward):
    """Direct feedback alignment past layers that pass no gradient; back-propagation elsewhere.

    A module whose `feedback` is true stops gradients. What enters it gets, in place of a
    gradient, the error at the output of the model times a fixed random matrix, and hands it on
    below by ordinary back-propagation. Weights then align with the feedback so that the error
    falls. Without such a module this is back-propagation.

    Cost: one backward pass over what the objective computed.

    Args:
        seed: of the random matrices; those of equal shape and place stay the same all along.
    """

    seed: Natural = 0

    def __call__(self, run: Run, batch: Batch, objective: Objective) -> Tensor:
        blocked = [m for m in run.model.modules() if getattr(m, "feedback", False)]
        calls: list[_Call] = []
        handles = _watch(run.model, blocked, calls)
        try:
            losses = objective(run, batch)
        finally:
            for handle in handles:
                handle.remove()
        led = [c for c in calls if c.output.requires_grad]  # not those of an attack
        errors: tuple[Tensor | None, ...] = ()
        if led:
            errors = torch.autograd.grad(
                losses.mean(), [c.output for c in led], retain_graph=True, allow_unused=True
            )
        losses.mean().backward()
        for call, error in zip(led, errors, strict=True):
            for place, below in call.inputs:
                if error is not None and below.requires_grad:
                    below.backward(self._projected(error, below, place))
        return losses.detach()

    def _projected(self, error: Tensor, below: Tensor, place: int) -> Tensor:
        """`e B`, in the shape of what entered the layer."""
        e, count = error.flatten(1), below[:1].numel()
        g = Dice.of(1, self.seed, "feedback").generator(f"{place}/{e.shape[1]}/{count}")
        matrix = torch.randn(e.shape[1], count, generator=g) / e.shape[1] ** 0.5
        back: Tensor = e @ matrix.to(e)
        return back.view_as(below)


class _Call(NamedTuple):
    """One call of the model: its logits, and what entered each blocked layer."""

    output: Tensor
    inputs: list[tuple[int, Tensor]]


def _watch(model: nn.Module, blocked: list[nn.Module], calls: list[_Call]) -> list[Any]:
    """Hooks that note each call of the model; none where no layer is blocked."""
    fresh: list[tuple[int, Tensor]] = []

    def entered(place: int) -> Any:
        return lambda module, given: fresh.append((place, given[0]))

    def left(module: nn.Module, given: Any, out: Any) -> None:
        calls.append(_Call(logits(out), list(fresh)))
        fresh.clear()

    handles: list[Any] = [
        m.register_forward_pre_hook(entered(place)) for place, m in enumerate(blocked)
    ]
    return [*handles, model.register_forward_hook(left)] if blocked else []
