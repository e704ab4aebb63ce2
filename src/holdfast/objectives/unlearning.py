"""Forgetting a concept so that no other way of asking for it brings it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.endless import Endless
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Ingredient, NonNegative, Part, Share, ingredient, settings
from holdfast.core.goal import Outputs, logits
from holdfast.core.kinds import Attack, Model, Objective, Run, Threat
from holdfast.core.quiet import quiet
from holdfast.objectives.adversary import sought
from holdfast.objectives.answer_pair import Rest
from holdfast.ops.batch import Inputs
from holdfast.threats.bind import bind
from holdfast.threats.embedding import Embedding


@dataclass(frozen=True, eq=False)
class Near(Endless):
    """The change under which outputs come closest to given ones, in mean square.

    Args:
        target: `(B, ...)` outputs to come close to.
    """

    target: Tensor

    def soft(self, outputs: Outputs) -> Tensor:
        return -distance(logits(outputs), self.target)

    def take(self, rows: Tensor | slice) -> Near:
        return Near(self.target[rows])


def distance(a: Tensor, b: Tensor) -> Tensor:
    """`(B,)`: mean squared difference of each row."""
    return (a - b).square().flatten(1).mean(1)


@register("objective", cites="advunlearn", name="adv-unlearn")
@settings
class AdversarialUnlearning(Objective):
    """AdvUnlearn: forgets a concept under the worst change of the condition that asks for it.

    The model is a conditional one, for instance the noise that a diffusion model predicts from
    a noisy input, a time and a condition; inputs are a mapping with the condition under a name,
    as ids or vectors, or the condition alone. On rows to be forgotten (`more["forget"]`; without
    it all rows) an attack changes the condition until the prediction comes closest to what the
    frozen model makes of the concept; under this change the prediction is drawn to
    `e(empty) - guidance (e(concept) - e(empty))` of the frozen model: away from the concept,
    beyond what is predicted without any condition. On the other rows it stays what the frozen
    model predicts. With guidance 0 the target is the prediction without a condition.
    Train what encodes the condition alone by freezing the rest of the model.

    Unlike the paper: noisy inputs come with the data, not from sampling with the present model;
    the attack starts anew in every step.

    Cost: two forward passes of the frozen model, the attack, and two forward passes.

    Args:
        reference: the frozen model.
        empty: `(...)` one condition that asks for nothing; without it zeros.
        condition: name of the condition among the inputs.
        attack: how the worst change is sought.
        threat: changes of the condition.
        guidance: how far beyond the prediction without a condition.
        retain: weight of the rows that stay.
        warmup: share of the run without an attack.
    """

    reference: Ingredient[Model] = ingredient()
    empty: Ingredient[Tensor] = ingredient()
    condition: str = "condition"
    attack: Part[Attack] = PGD(steps=10, travel=2.5, start="none", climb="soft")
    threat: Part[Threat] = Embedding(radius=0.5, relative=False)
    guidance: NonNegative = 1.0
    retain: NonNegative = 1.0
    warmup: Share = 0.2

    @classmethod
    def example(cls, world: Any) -> AdversarialUnlearning:
        """With a linear reference of four inputs, for the laws."""
        with torch.random.fork_rng():
            torch.manual_seed(5)
            return cls(reference=nn.Linear(4, 3).double(), warmup=0.0)

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        if self.reference is None:
            raise ConfigError("adv-unlearn needs the model as it was", fix="Pass reference=model.")
        asked = self._condition(batch.x)
        forget = batch.more.get("forget", torch.ones_like(batch.index)).bool()
        with quiet(self.reference), torch.no_grad():
            known = logits(self.reference(batch.x))
            none = logits(self.reference(self._with(batch.x, self._nothing(asked))))
        away = none - self.guidance * (known - none)
        plain = logits(run.model(batch.x))
        kept = self.retain * distance(plain, known)
        if run.progress < self.warmup:
            return torch.where(forget, distance(plain, away), kept)
        model = self._of_condition(run.model, batch.x)
        threat = bind(resolve(self.threat), run.model)
        change = sought(run, self.attack, asked, lambda: Near(known), threat, model=model)
        moved = logits(threat.through(model, asked, change))
        return torch.where(forget, distance(moved, away), kept)

    def _condition(self, x: Inputs) -> Tensor:
        found = x.get(self.condition) if isinstance(x, Mapping) else x
        if not isinstance(found, Tensor):
            raise ConfigError(
                f"adv-unlearn: the inputs hold no tensor {self.condition!r}",
                fix=f"Give inputs as a mapping with {self.condition!r}, or name another "
                "condition=.",
            )
        return found

    def _with(self, x: Inputs, condition: Tensor) -> Inputs:
        return {**x, self.condition: condition} if isinstance(x, Mapping) else condition

    def _of_condition(self, model: nn.Module, x: Inputs) -> nn.Module:
        return Rest(model, x, self.condition) if isinstance(x, Mapping) else model

    def _nothing(self, asked: Tensor) -> Tensor:
        if self.empty is None:
            return torch.zeros_like(asked)
        return self.empty.to(asked).expand_as(asked)
