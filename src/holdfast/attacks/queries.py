"""Random search with scores alone: propose a change of every row, keep it where it helps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.ops.batch import pick
from holdfast.run.search import stronger

Propose = Callable[[Active, int, Tensor], Tensor]


def ask(active: Active, start: Tensor, propose: Propose, steps: int) -> None:
    """Evaluate a start and then one proposal per step, each row keeping the best that it saw.

    Properties: the margin of a row never falls; rows that are broken leave at once; what is
    proposed to a row follows from its own change and draws, so that rows stay independent.
    Where one change serves all rows (a coupled threat) it is kept or dropped for all of them.

    Args:
        active: rows under attack; remembers the best changes.
        start: admissible changes of the active rows.
        propose: (active, number of the step, current changes) -> admissible changes near them.
        steps: proposals.

    Cost: `steps + 1` forwards per unbroken row.
    """
    change = start.detach()
    margin = active.margins(change)
    stay = active.see(change, margin)
    for step in range(steps):
        if stay is not None:
            change, margin = change[stay], margin[stay]
        if not len(active):
            return
        new = propose(active, step, change).detach()
        reached = active.margins(new)
        better = reached > margin
        if active.coupled:
            better = torch.full_like(better, stronger(reached, margin))
        change, margin = pick(better, new, change), torch.where(better, reached, margin)
        stay = active.see(new, reached)
