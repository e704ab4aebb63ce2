"""The rows of a ladder of proofs: which method proved how many, what breaks, what stays open."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from holdfast.core.catalog import entry_of, resolve
from holdfast.core.fields import Part
from holdfast.core.kinds import Attack, Certifier
from holdfast.core.records import Cell
from holdfast.run.bracket import Bracket


def rungs(
    found: Bracket, certifiers: Sequence[Part[Certifier]], attack: Part[Attack], threat: str
) -> list[dict[str, Cell]]:
    """One row per method that answered, and one each for what stays open, breaks and is wrong.

    The counts of a ladder add up to n: a row counts for the first method that proved it.

    Args:
        found: what is proved and what breaks.
        certifiers: that were asked, in their order; those that refused give no row.
        attack: that was tried.
        threat: as written.
    """
    n, wrong = len(found.certified), int((found.attacked.clean >= 0).sum())
    rows: list[dict[str, Cell]] = []

    def add(state: str, method: str, count: int, asked: int) -> None:
        rows.append({"threat": threat, "state": state, "method": method, "rows": count,
                     "asked": asked, "n": n})  # fmt: skip

    left, known = found.certified.clone(), torch.zeros_like(found.certified)
    for position, said in zip(found.answered, found.certificates, strict=True):
        mine = said.proved.to(left.device) & left & ~known
        add("proved", name(certifiers[position]), int(mine.sum()), n - wrong - int(known.sum()))
        known |= mine
    broken = int(found.broken.sum())
    proved = int(found.certified.sum())
    add("open", "", n - proved - broken, n - wrong)
    add("broken", name(attack), broken - wrong, int(found.looked.sum()))
    add("wrong", "", wrong, n)
    return rows


def name(part: object) -> str:
    """The catalogue name of a method and the settings that are not its usual ones.

    For one that is not in the catalogue the name of its class.
    """
    if isinstance(part, str):
        return part
    entry = entry_of(type(part))
    if entry is None:
        return type(part).__name__
    usual: object = resolve(entry.key)
    own = vars(part)
    changed = [f"{k}={v}" for k, v in own.items() if getattr(usual, k, v) != v]
    return " ".join([entry.key, *changed])
