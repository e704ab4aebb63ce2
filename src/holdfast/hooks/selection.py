"""What is watched on held-out rows while a model is hardened, and which epoch is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Ingredient, Part, Share, ingredient, settings
from holdfast.core.kinds import Attack, Hook, Run, Threat
from holdfast.run.held import accuracies, note, put_back
from holdfast.threats.norms import LInf


@register(
    "hook", cites=("training-loop", "fast-at"), name="robust-selection",
    says="Watches robust accuracy on held-out rows, keeps the best epoch, stops at a collapse.",
)  # fmt: skip
@settings
class RobustSelection(Hook):
    """Robust accuracy of every epoch on held-out rows; the best weights are those that stay.

    Each epoch adds `clean`, `fast` (one step) and `robust` (the strong attack) accuracy to the
    history. Robust accuracy often peaks long before the end: the run ends with the weights of
    its best epoch, of equal ones the last, and the memory's `gap` says how much the last epoch
    had lost. A catastrophic collapse, where robust accuracy falls below a share of its best
    while the one-step attack succeeds no more often than before, stops the run.

    Held-out rows must not be those that the result is reported on.

    Cost per epoch: both attacks on the held-out rows; one copy of the weights.

    Args:
        attack: the strong one; another than the one in training says more.
        fast: the attack of one step.
        threat: which changes are admissible.
        collapse: share of the best robust accuracy below which it counts as lost; 0 never stops.
        keep: weights of the `best` epoch, or of the `last`.
        held: held-out rows with labels.
    """

    attack: Part[Attack] = PGD(steps=10, travel=2.5, climb="margin")
    fast: Part[Attack] = "attack:fgsm"
    threat: Part[Threat] = LInf()
    collapse: Share = 0.2
    keep: Literal["best", "last"] = "best"
    held: Ingredient[Batches] = ingredient()

    @classmethod
    def example(cls, world: Any) -> RobustSelection:
        """With twelve rows of four inputs, for the laws."""
        return cls(held=held_example())

    def epoch(self, run: Run) -> bool | None:
        held, memory = rows_of(self.held, "RobustSelection"), run.memory(self)
        clean, robust = shares(run, held, self.attack, self.threat)
        _, fast = shares(run, held, self.fast, self.threat)
        history = getattr(run, "history", [])
        if history:
            history[-1].update(clean=clean, fast=fast, robust=robust)
        for name, value in (("fast", fast), ("robust", robust)):
            memory[name] = [*memory.get(name, []), value]
        memory["gap"] = max(memory["robust"]) - robust
        note(memory, robust, run.model.state_dict(), at=run.epoch)
        return collapsed(memory["fast"], memory["robust"], self.collapse)

    def end(self, run: Run) -> None:
        if self.keep == "best":
            put_back(run, run.memory(self))


def collapsed(fast: Sequence[float], robust: Sequence[float], share: float) -> bool:
    """Whether the last epoch lost its robustness while one step seems to be withstood.

    Args:
        fast: accuracy under an attack of one step, by epoch.
        robust: accuracy under a strong attack, by epoch.
        share: of the best robust accuracy so far, below which it is lost.
    """
    if len(robust) < 2:
        return False
    return robust[-1] < share * max(robust[:-1]) and fast[-1] >= fast[-2]


def shares(
    run: Run, held: Batches, attack: Part[Attack], threat: Part[Threat]
) -> tuple[float, float]:
    """Clean and attacked accuracy on held-out rows, with draws of their own in each epoch."""
    dice = run.dice.spawn("held")
    right, kept = accuracies(run.model, held, resolve(attack), resolve(threat), dice)
    return right / len(held), kept / len(held)


def rows_of(held: Batches | None, who: str) -> Batches:
    """The held-out rows.

    Raises:
        ConfigError: if there are none.
    """
    if held is None or not len(held) or not isinstance(held.x, torch.Tensor):
        raise ConfigError(
            f"{who} needs held-out rows as one tensor", fix="Pass held=Batches(x=..., y=...)."
        )
    return held


def held_example() -> Batches:
    """Twelve rows of four inputs and three classes."""
    x = torch.linspace(0, 1, 48, dtype=torch.float64).reshape(12, 4)
    return Batches(x=x, y=torch.arange(12) % 3)
