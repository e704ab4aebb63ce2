"""Training the network that decides between an accurate and a robust model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Ingredient, NonNegative, Part, ingredient, settings
from holdfast.core.goal import Untargeted, logits
from holdfast.core.kinds import Attack, Model, Objective, Run, Threat
from holdfast.core.quiet import quiet
from holdfast.defend.mixed import Mixed, Mixing
from holdfast.losses.cross_entropy import cross_entropy
from holdfast.objectives.adversarial import tensor_of
from holdfast.threats.norms import LInf


@register(
    "objective",
    name="mixing",
    cites="adaptive-smoothing",
    says="Trains a mixing network on clean rows and on attacks of the whole mixture.",
)
@settings
class MixingNetwork(Objective):
    """Trains the run's model to tell attacked inputs, which the robust model shall decide.

    Its first output is the mixing network's raw answer. Every row is seen clean (the answer shall
    be 0) and attacked (1); the attack is on the whole mixture, through the network, so that it
    learns what it will meet. The loss is the binary cross-entropy of the answer, that of the
    mixture's classes, and their product, weighted; both other models stay as they are.

    Cost per batch: the attack on all three models, and two forward passes of each.

    Args:
        standard: the accurate model, frozen, in eval mode.
        mixture: whose `robust` model is frozen too; its `mixer` is the model under training.
        attack: on the mixture.
        threat: which changes are admissible.
        right: weight of the binary cross-entropy.
        classes: weight of the mixture's cross-entropy.
        both: weight of the product.
    """

    standard: Ingredient[Model] = ingredient()
    mixture: Ingredient[Mixing] = ingredient()
    attack: Part[Attack] = PGD(steps=5, travel=2.5, climb="soft")
    threat: Part[Threat] = LInf()
    right: NonNegative = 1.5
    classes: NonNegative = 0.0
    both: NonNegative = 0.2

    @classmethod
    def example(cls, world: Any) -> MixingNetwork:
        """Between two linear models of four inputs, for the laws."""
        with torch.random.fork_rng():
            torch.manual_seed(2)
            pair = nn.Linear(4, 3).double(), nn.Linear(4, 3).double()
        return cls(standard=pair[0], mixture=Mixing(robust=pair[1]))

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        if self.standard is None or self.mixture is None:
            raise ConfigError(
                "MixingNetwork needs the accurate model and the mixture",
                fix="Pass standard=model and mixture=Mixing(robust=other).",
            )
        x, threat = tensor_of(batch), resolve(self.threat)
        mixed = replace(self.mixture, mixer=run.model)(self.standard)
        with quiet(mixed):
            run.model.eval()
            change = resolve(self.attack)(
                mixed, x, Untargeted(batch.y), threat, dice=run.dice.spawn("attack")
            )
            moved = threat.apply(x, threat.project(x, change)).detach()
        with quiet(mixed.standard, mixed.robust):  # frozen: no gradient is left in them
            clean, attacked = self._loss(mixed, x, batch.y, 0), self._loss(mixed, moved, batch.y, 1)
        return (clean + attacked) / 2

    def _loss(self, mixed: Mixed, x: Tensor, y: Tensor, attacked: int) -> Tensor:
        """`(B,)`: of clean rows (0) or of attacked ones (1)."""
        raw = logits(mixed.mixer(x)).flatten(1)[:, 0]  # type: ignore[misc]
        told = F.binary_cross_entropy_with_logits(
            raw, torch.full_like(raw, float(attacked)), reduction="none"
        )
        wrong = cross_entropy(mixed(x), y)
        return self.right * told + self.classes * wrong + self.both * told * wrong
