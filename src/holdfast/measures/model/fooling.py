"""How often one change for all rows changes the answer on rows it was not made from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.fields import Inner, Part
from holdfast.core.goal import logits
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.run.reading import proportion


@register("measure", cites="sga-uap")
def fooling_ratio(
    model: Model,
    batches: Batches,
    *,
    attack: Part[Attack] = "attack:sga",
    threat: Part[Threat] = "threat:shared",
    share: Inner = 0.5,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "universal.fooled",
) -> Reading:
    """Share of unseen rows whose answer one change for all rows turns into another.

    The change is made from some rows and tried on the others. It counts answers that change, not
    mistakes: labels play no part. An attack found the change, so a better one may fool more.

    Args:
        model: inputs -> logits first.
        batches: rows of one tensor.
        attack: a universal one, with `fit`.
        threat: what the change may be.
        share: of the rows, drawn by the seed, from which the change is made.
        alpha: the interval covers with probability at least 1 - alpha.
        seed: of the rows drawn and of the attack.
        name: of the reading.

    Raises:
        ConfigError: for a share outside (0, 1).
        ShapeError: if either part has no row.
        Unsupported: if the attack cannot be fitted.

    Cost: what fitting takes, and two forwards per unseen row.
    """
    inside("(0, 1)", name, share=share)
    maker: Any = resolve(attack)
    if not hasattr(maker, "fit"):
        raise Unsupported(
            f"{type(maker).__name__} makes no change that could be tried on other rows",
            fix="Use attack:sga or attack:spgd.",
        )
    kept = round(share * len(batches))
    if not 0 < kept < len(batches):
        raise ShapeError(
            f"{name}: {len(batches)} rows cannot be parted in two by share={share}",
            fix="Give two rows or more, and share=0.5.",
        )
    order = torch.randperm(len(batches), generator=Dice.of(1, seed, name).generator("parts"))
    seen, new = batches.take(order[:kept]), batches.take(order[kept:])
    within = resolve(threat)
    dice = Dice(seed, seen.index, name)
    changed = 0
    with quiet(model):
        found = maker.fit(model, seen, None, within, dice=dice)
        for batch in new:
            changed += int(_changed(model, batch.x, found, within).sum())
    return proportion(
        name, changed, len(new), bound="lower", better="lower",
        threat=within.spec, seed=seed, alpha=alpha,
    )  # fmt: skip


def _changed(model: Model, x: Any, found: Attack, threat: Threat) -> Tensor:
    """`(B,)` bool: rows whose answer is another under the change."""
    with torch.no_grad():
        z = logits(model(x))
        goal: Any = None  # a change that is only replayed wants nothing
        change = found(model, x, goal, threat)
        return z.argmax(1) != logits(threat.through(model, x, change)).argmax(1)
