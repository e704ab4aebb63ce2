"""Errors of several models under several attacks and sizes of change, in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from holdfast.core.dice import Dice, dice_or
from holdfast.core.endless import LargestLoss
from holdfast.core.goal import Untargeted, logits
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.run.reading import proportion


def attack_table(
    models: Mapping[str, Model],
    x: Tensor,
    y: Tensor,
    *,
    attacks: Mapping[str, Attack],
    threats: Sequence[Threat],
    topk: Sequence[int] = (1, 5),
    dice: Dice | None = None,
) -> list[Reading]:
    """Share of rows whose label is not among the k largest logits, clean and attacked.

    The attacks never stop at the first mistake: a label that is no longer the best may still be
    the second best. So minimum-norm attacks, which stop by nature, say nothing here. A tie counts
    against the model, and so does an output that is not finite.

    Args:
        models: by name; each is attacked by itself.
        x: `(B, ...)` inputs.
        y: `(B,)` labels.
        attacks: by name.
        threats: the sizes of change, usually one kind with growing radii.
        topk: the ks; those of at least the number of classes are left out.
        dice: draws of the B rows; the same for every cell.

    Returns:
        `error.MODEL.clean.topK` and `error.MODEL.ATTACK.topK` for each threat, whose reading
        names it. Attacked errors are lower bounds of the worst ones.

    Raises:
        ConfigError: for a k below 1.

    Cost: one forward per row and model, and each attack and a forward per threat and model.
    """
    inside("[1, inf)", "attack_table", topk=topk)
    dice, goal, found = dice_or(dice, len(x)), LargestLoss(Untargeted(y)), []
    for name, model in models.items():
        with quiet(model), torch.no_grad():
            place = _place(logits(model(x)), y)
            classes = logits(model(x[:1])).shape[1]
        ks = [k for k in topk if k < classes]
        found += [_error(f"error.{name}.clean.top{k}", place >= k) for k in ks]
        for word, attack in attacks.items():
            for threat in threats:
                with quiet(model):
                    change = attack(model, x, goal, threat, dice=dice.spawn("table"))
                    with torch.no_grad():
                        moved = threat.through(model, x, threat.project(x, change))
                place = _place(logits(moved), y)
                found += [
                    _error(f"error.{name}.{word}.top{k}", place >= k, threat.spec, dice.seed)
                    for k in ks
                ]
    return found


def _place(z: Tensor, y: Tensor) -> Tensor:
    """`(B,)`: how many other classes have a logit of at least the label's."""
    own = z.gather(1, y[:, None])
    behind = (z < own).sum(1)  # comparisons with NaN are false: such rows are behind all
    return z.shape[1] - 1 - behind


def _error(name: str, wrong: Tensor, threat: str = "", seed: int = 0) -> Reading:
    return proportion(
        name, int(wrong.sum()), len(wrong), better="lower", threat=threat, seed=seed,
        bound="lower" if threat else "estimate",
    )  # fmt: skip
