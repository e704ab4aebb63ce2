"""Features that do not tell attacked rows from clean ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import exp
from typing import Literal

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, NonNegative, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Run
from holdfast.losses.cross_entropy import cross_entropy
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.adversary import LargestLoss, divergence, goal_of, sought
from holdfast.objectives.supervised import per_row
from holdfast.objectives.trades import Trades


def reversed_gradient(h: Tensor, factor: float) -> Tensor:
    """The same values, with a gradient that is turned round and scaled by the factor."""
    return h.detach() - factor * (h - h.detach())


def last_layer(model: nn.Module) -> nn.Linear:
    """The last linear layer, which reads the features.

    Raises:
        Unsupported: if the model has none.
    """
    found = [m for m in model.modules() if isinstance(m, nn.Linear)]
    if not found:
        raise Unsupported(
            "the model has no linear layer whose inputs could be the features",
            fix="Give a model that ends in an nn.Linear.",
        )
    return found[-1]


@contextmanager
def reading(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Collects what goes into a layer, pass by pass, rows flattened."""
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda m, given: seen.append(given[0].flatten(1)))
    try:
        yield seen
    finally:
        handle.remove()


@register("objective", cites="dial", name="dial", says="Features hide whether a row was attacked.")
@settings
class DomainInvariant(Trades):
    """Domain-invariant adversarial learning: TRADES, with features that do not tell the attack.

    A second head reads the features (what goes into the last linear layer) and learns whether a
    row is clean or attacked; the features get its gradient with the sign turned round, so that
    they lose what the head could use. The factor of the turned gradient grows from 0 to 1 along
    the run as `2 / (1 + exp(-10 p)) - 1`, which lets the head learn first. With `domain` 0 this
    is TRADES, or with kind `ce` training on clean and attacked rows.

    Cost per batch: as TRADES; the head is small.

    Unlike the paper: the attack starts anywhere in the threat; no changes of the weights on top.

    Args:
        attack: how the worst change is sought.
        threat: which changes are admissible.
        loss: of outputs against the labels.
        weight: of the departure (`kl`) or of the loss on attacked rows (`ce`); the paper takes 8
            and 1.
        mode: mode of the model during the attack.
        domain: weight of the head's loss.
        kind: what the attack climbs and attacked rows pay: `kl`, the departure from the clean
            prediction, or `ce`, the loss.
        hidden: units of the head's hidden layer.
    """

    weight: NonNegative = 8.0
    domain: NonNegative = 6.0
    kind: Literal["kl", "ce"] = "kl"
    hidden: Count = 32

    def parts(self, model: nn.Module) -> nn.Module:
        """The head that tells clean from attacked."""
        last = last_layer(model)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made = nn.Sequential(
                nn.Linear(last.in_features, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 2)
            )
        return made.to(last.weight)

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, threat, loss = tensor_of(batch), resolve(self.threat), resolve(self.loss)
        if self.kind == "kl":
            change = self._departed(run, x, threat)
        else:
            goal = LargestLoss(goal_of(batch.y))
            change = sought(run, self.attack, x, lambda: goal, threat, self.mode)
        with reading(last_layer(run.model)) as seen:
            outputs = logits(run.model(x))
            moved = logits(threat.through(run.model, x, change))
        total = per_row(loss(outputs, batch.y), batch.y)
        if self.kind == "kl":
            away = divergence(outputs.log_softmax(-1), moved.log_softmax(-1))
        else:
            away = per_row(loss(moved, batch.y), batch.y)
        total = total + self.weight * away
        return total + self.domain * self._told(run, seen) if self.domain else total

    def _told(self, run: Run, seen: list[Tensor]) -> Tensor:
        """`(B,)`: the head's loss on both versions of each row, turned round for the features."""
        head = run.parts[next(iter(run.parts))]
        factor = 2 / (1 + exp(-10 * run.progress)) - 1
        told = torch.zeros((), device=seen[0].device)
        for attacked, h in enumerate(seen):
            z = head(reversed_gradient(h, factor))
            told = told + cross_entropy(z, torch.full_like(h[:, 0], attacked, dtype=torch.long))
        return told
