"""The four ways to make slices: select rows, change them, bring others, attack them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from holdfast.checks.gym.slice import Slice
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Untargeted
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Attack, Model, Shift, Threat
from holdfast.measures.data.subpopulations import LISTS, RowScore, cut
from holdfast.run.search import attack_name, search


def subpopulations(
    name: str, score: RowScore, batches: Batches, edges: Sequence[float]
) -> list[Slice]:
    """Slices between percentiles of a score; for lists of words, the rows that hold some.

    Args:
        name: of the score.
        score: of the rows.
        batches: the whole set.
        edges: percentiles, rising.

    Returns:
        The slices that have rows, but not one that has them all.
    """
    value = score(batches)
    masks = [("", value > 0)] if name in LISTS else cut(value, edges)
    return [
        Slice.where(f"{name} {part}".strip(), batches, mask)
        for part, mask in masks
        if 0 < int(mask.sum()) < len(batches)
    ]


def transformation(name: str, shift: Shift, batches: Batches, severity: float, seed: int) -> Slice:
    """The rows that a shift changes, changed; what it leaves as it is says nothing.

    Where the shift turns the right answer round (`effect` is `flips`), so are the labels.

    Args:
        name: of the shift.
        shift: what is done.
        batches: the whole set.
        severity: in (0, 1].
        seed: of the draws.

    Raises:
        Unsupported: if the shift applies to no row, or flips labels of more than two classes.
    """
    out = shift(batches.whole, severity, Dice(seed, batches.index, name))
    mask = out.more.get("edited", torch.ones(len(batches), dtype=torch.bool))
    y = out.y
    if getattr(shift, "effect", "same") == "flips":
        if y.dim() != 1 or bool(((y != 0) & (y != 1)).any()):
            raise Unsupported(
                f"{name} turns answers round, which needs labels 0 and 1, got labels from "
                f"{int(y.min()) if y.numel() else 'none'} to "
                f"{int(y.max()) if y.numel() else 'none'}",
                fix="Leave this transformation out, or give a task of two classes.",
            )
        y = 1 - y
    data = replace(batches, x=out.x, y=y).take(mask.nonzero().flatten())
    return Slice(name, "transformation", data, batches, mask)


def attacked(attack: Attack, model: Model, batches: Batches, threat: Threat, seed: int) -> Slice:
    """All rows, those that fall to an attack as it leaves them.

    Args:
        attack: what is tried.
        model: the subject.
        batches: the whole set.
        threat: the set of changes.
        seed: of the draws.

    Cost: that of the attack on every row.
    """
    x = one_tensor(batches.x, "an attack of slices")
    dice = Dice(seed, batches.index, "gym")
    found = search(attack, model, x, Untargeted(batches.y), threat, dice=dice)
    changed = threat.apply(x, found.change).detach()
    x = torch.where(found.broken.reshape(-1, *[1] * (changed.dim() - 1)), changed, x)
    every = torch.ones(len(batches), dtype=torch.bool)
    name = f"{attack_name(attack)} {threat.spec}"
    return Slice(name, "attack", replace(batches, x=x), batches, every)


def evaluation_set(name: str, data: Batches) -> list[Slice]:
    """A foreign data set as a slice.

    Raises:
        Unsupported: if it has no rows.
    """
    if not len(data):
        raise Unsupported(f"{name} has no rows", fix="Give a data set with one row or more.")
    return [Slice(name, "evaluation set", data)]


def tried(
    makers: Sequence[tuple[str, Callable[[], Sequence[Slice]]]],
) -> tuple[list[Slice], dict[str, str]]:
    """Slices of all makers that can make some, and why the others cannot."""
    made: list[Slice] = []
    refused: dict[str, str] = {}
    for name, make in makers:
        try:
            made += make()
        except Unsupported as error:
            refused[name] = error.says
    return made, refused
