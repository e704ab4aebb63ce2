"""Robust accuracy of several sizes of one architecture: robustness needs room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Part
from holdfast.core.goal import Untargeted, logits
from holdfast.core.inputs import one_tensor, some_models, some_rows
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.core.records import Reading
from holdfast.run.reading import proportion
from holdfast.run.search import search


@dataclass(frozen=True)
class Capacity:
    """What each size reached.

    Args:
        robust: share of rows that held, of each model in the order given.
        constant: share of rows that got the model's commonest answer.
    """

    robust: tuple[Reading, ...]
    constant: tuple[Reading, ...]

    def readings(self) -> tuple[Reading, ...]:
        """Both, model by model."""
        return tuple(r for pair in zip(self.robust, self.constant, strict=True) for r in pair)


@register("measure", cites="pgd-adversarial-training")
def capacity_sweep(
    models: Sequence[Model],
    batches: Batches,
    *,
    attack: Part[Attack] = "attack:pgd",
    threat: Part[Threat] = "threat:linf",
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "capacity",
) -> Capacity:
    """Robust accuracy of each of several trained models, smallest first.

    A net that is too small for robust training collapses to one answer for all rows, which the
    share of the commonest answer shows: the robust accuracy of such a net is that of a constant.

    Args:
        models: trained alike and of growing size.
        batches: labelled rows of one tensor.
        attack: how they are attacked.
        threat: what it may change.
        alpha: intervals cover with probability at least 1 - alpha.
        seed: of the attack.
        name: prefix of the readings.

    Raises:
        Unsupported: if the inputs are not one tensor.
        ShapeError: without models or rows.

    Cost: per model the attack and two forwards per row.
    """
    some_models(models, name)
    x = one_tensor(batches.x, name)
    some_rows(batches, name)
    method, within, n = resolve(attack), resolve(threat), len(batches)
    robust, constant = [], []
    for number, model in enumerate(models):
        dice = Dice(seed, batches.index, name)
        found = search(method, model, x, Untargeted(batches.y), within, dice=dice)
        held = int((~found.broken).sum())
        robust.append(proportion(
            f"{name}.robust.{number}", held, n, bound="upper",
            threat=within.spec, seed=seed, alpha=alpha,
        ))  # fmt: skip
        with quiet(model), torch.no_grad():
            answers = torch.cat([logits(model(batch.x)).argmax(1) for batch in batches])
        most = int(answers.bincount().max())
        constant.append(
            proportion(f"{name}.constant.{number}", most, n, better="lower", alpha=alpha)
        )
    return Capacity(tuple(robust), tuple(constant))
