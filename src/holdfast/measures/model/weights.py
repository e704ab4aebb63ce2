"""The loss of a model as a function of its weights, on given rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.errors import Unsupported
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.ops.derivative import Weights, hvp, weights_gradient


@dataclass(frozen=True, eq=False)
class Landscape:
    """Mean cross-entropy over all labelled rows, for any weights of one architecture.

    Args:
        model: whose weights are moved; they themselves never are.
        batches: the rows; sums run over batches, so memory holds one batch at a time.
    """

    model: nn.Module
    batches: Batches

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights as they stand, by name."""
        return {k: p.detach() for k, p in self.model.named_parameters()}

    @property
    def count(self) -> int:
        """How many labels count."""
        return int((self.batches.y != UNLABELLED).sum())

    def losses(self) -> list[Callable[[Weights], Tensor]]:
        """One function of the weights per batch; their values add up to the mean loss."""
        count = max(self.count, 1)

        def part(x: object, y: Tensor) -> Callable[[Weights], Tensor]:
            def loss(weights: Weights) -> Tensor:
                z = logits(functional_call(self.model, dict(weights), (x,)))
                labels = y.to(z.device).flatten()
                flat = z.reshape(-1, z.shape[-1])
                return F.cross_entropy(flat, labels, reduction="sum") / count

            return loss

        return [part(b.x, b.y) for b in self.batches]

    def loss(self, weights: Weights) -> float:
        """The mean loss at some weights. Cost: one forward pass per row."""
        with torch.no_grad():
            return sum(float(f(weights)) for f in self.losses())

    def gradient(self, weights: Weights) -> dict[str, Tensor]:
        """The gradient at some weights. Cost: one forward and one backward pass per row."""
        return _added([weights_gradient(f, weights) for f in self.losses()])

    def curved(self, direction: Weights) -> dict[str, Tensor]:
        """The Hessian at the weights as they stand, times a direction."""
        return _added([hvp(f, self.weights, direction) for f in self.losses()])


def landscape(model: Model, batches: Batches, name: str) -> Landscape:
    """The loss as a function of the weights.

    Raises:
        Unsupported: if the model has no weights of its own, is compiled, or no row is labelled.
    """
    if not isinstance(model, nn.Module) or next(model.parameters(), None) is None:
        raise Unsupported(
            f"{name} moves weights, and this model shows none: {type(model).__name__}",
            fix="Give an nn.Module with parameters, not a function or a remote endpoint.",
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise Unsupported(
            f"{name} moves weights, and those of TorchScript cannot be replaced",
            fix="Audit the weights with --arch, or export a .pt2.",
        )
    found = Landscape(model, batches)
    if found.count == 0:
        raise Unsupported(
            f"{name} needs labelled rows",
            fix="Give labels y, numbered from 0; -100 stands for no label.",
        )
    return found


def flat(weights: Mapping[str, Tensor]) -> Tensor:
    """All weights as one vector."""
    return torch.cat([w.flatten() for w in weights.values()])


def shaped(vector: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A vector cut into weights of these names and shapes."""
    parts = vector.split([w.numel() for w in like.values()])
    return {k: p.reshape(w.shape).to(w) for (k, w), p in zip(like.items(), parts, strict=True)}


def _added(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {k: torch.stack([p[k] for p in parts]).sum(0) for k in parts[0]}
