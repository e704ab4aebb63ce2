"""How long the smallest change is that fools a model, against the length of the input."""

from __future__ import annotations

import torch

from holdfast.core.catalog import register, resolve, with_settings
from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Part
from holdfast.core.goal import Untargeted
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.core.records import Reading
from holdfast.run.reading import average
from holdfast.run.search import clean, search


@register("measure", cites="deepfool")
def relative_distance(
    model: Model,
    batches: Batches,
    *,
    attack: Part[Attack] = "attack:deepfool",
    threat: Part[Threat] = "threat:l2",
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "relative-distance",
) -> Reading:
    """Mean length of the smallest changes found that fool, over the Euclidean length of the input.

    Only rows that are right without a change count, each with the shortest winning change that
    the attack finds, of whatever length; a row that it does not fool is left out and said. The
    attack finds no longer ones than needed only in the best case: an upper bound.

    Args:
        model: inputs -> logits first.
        batches: labelled rows of one tensor of inputs.
        attack: a minimum-norm attack, asked to go on beyond the threat's radius.
        threat: in whose norm changes are shortened; its length is always Euclidean here.
        alpha: the interval over the rows aims at a coverage of 1 - alpha.
        seed: of the attack's draws and the bootstrap.
        name: of the reading.

    Raises:
        Unsupported: for other inputs, an attack without `smallest`, or if no row is fooled.

    Cost: the attack, and two forwards per row.
    """
    method, kind = resolve(attack), resolve(threat)
    if not hasattr(method, "smallest"):
        raise Unsupported(
            f"{name}: {type(method).__name__} does not look for the smallest change",
            fix="Use attack:deepfool, attack:fmn or attack:fab.",
        )
    method, found, missed = with_settings(method, smallest=True), [], 0
    for batch in batches.take((batches.y != UNLABELLED).nonzero().flatten()):
        x = one_tensor(batch.x, name)
        goal, dice = Untargeted(batch.y), Dice(seed, batch.index, name)
        rows = (clean(model, x, goal, kind).margin < 0).nonzero().flatten()
        wide = kind.scaled(1e6)  # the judge takes no change for a win that the threat forbids
        goal, some = goal.take(rows), wide.take(rows)
        seen = search(method, model, x[rows], goal, some, dice=dice.part(rows))
        length, own = (v.flatten(1).norm(dim=1) for v in (seen.change, x[rows]))
        found.append((length / own.clamp(min=1e-30))[seen.broken].double().cpu())
        missed += int((~seen.broken).sum())
    values = torch.cat(found) if found else torch.zeros(0)
    if not len(values):
        raise Unsupported(
            f"{name}: no row is right and can be fooled",
            fix="Give rows that the model gets right, or an attack that finds a change for "
            "one of them.",
        )
    flags = (f"{missed} rows were not fooled and are left out",) if missed else ()
    return average(name, values, bound="upper", unit="share of the input's length",
                   threat=kind.spec, alpha=alpha, seed=seed, flags=flags)  # fmt: skip
