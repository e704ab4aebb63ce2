"""Steps that look at the loss twice: what the first look searched for, the second one uses."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from holdfast.core.kinds import Run

LOOKS = "looks"


def kept(run: Run, name: str, search: Callable[[], Tensor]) -> Tensor:
    """What a search gives; in the second look of a step, what it gave in the first.

    An optimizer that probes the loss before it steps (SAM, AWP) asks for the same rows twice at
    weights that lie close together. A search of ten passes is not repeated for that: the
    second look costs one pass forward and one back, and its gradient is that of the loss at the
    changes that were worst before the weights moved. Where an optimizer looks once, or where
    rows were divided anew in between, the search is made.

    Args:
        run: under way; `run.dice` is keyed by the rows.
        name: of the search among those of one step.
        search: gives one entry per row.
    """
    memory = run.memory(LOOKS)
    if "found" not in memory:
        return search()
    rows, found = run.dice.keys, memory["found"]
    if memory["probing"]:
        found.append((name, rows, search()))
        return found[-1][2]  # type: ignore[no-any-return]
    for known, own, change in found:
        if known == name and torch.equal(own, rows):
            return change  # type: ignore[no-any-return]
    return search()


def look(run: Run, optimizer: object) -> None:
    """Say that an optimizer looks at the loss of its step now; `forget` comes behind the step.

    Args:
        run: under way.
        optimizer: says by `probing` whether a look is followed by another one.
    """
    memory = run.memory(LOOKS)
    if getattr(optimizer, "probing", False):
        memory.update(probing=True, found=[])
    elif memory:
        memory["probing"] = False


def forget(run: Run) -> None:
    """Let go what the looks of a step have found."""
    run.memory(LOOKS).clear()
