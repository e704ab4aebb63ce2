"""Every admissible edit: exhaustive search of small threats to tokens."""

from __future__ import annotations

from itertools import combinations, islice, product
from math import comb
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.attacks.edited import Edited
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Access, Attack, Model, Threat


@register("attack", cites="protein-folding-robustness")
@settings
class AllEdits(Attack):
    """Tries every admissible change of up to so many places, fewer places first.

    Properties: deterministic; on a row that stays unbroken the result is the exact maximum over
    the changes of at most `sites` places, which is that of the whole threat where it admits no
    more. What the threat does not admit costs nothing.

    Args:
        sites: largest number of places changed together.
        most: largest number of changes of a row; more raise Unsupported.
        together: changes of a row evaluated in one call; more is faster for few rows, but what
            is left of a call is spent when one of them wins.

    Cost: at most one forward per change and unbroken row.

    Raises:
        Unsupported: if there are more than `most` changes, or one change serves all rows.
    """

    access: ClassVar[Access] = Access.SCORE
    discrete: ClassVar[bool] = True
    sites: Count = 2
    most: Count = 100_000
    together: Count = 1

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        active = Edited(model, x, goal, threat, dice)
        choices = active.edits.choices(x)
        places, width = choices.shape[1:]
        sites = min(self.sites, places)
        count = sum(comb(places, k) * width**k for k in range(sites + 1))
        if active.coupled or count > self.most:
            raise Unsupported(
                f"{threat.spec}: {count} changes of up to {sites} places are too many to try all,"
                " or one change serves all rows",
                fix=f"Allow more than {self.most}, or use attack:word-substitution or attack:gcg.",
            )
        active.own = {"none": active.best, "choices": choices}
        every = (
            tuple(zip(at, which, strict=True))
            for k in range(sites + 1)
            for at in combinations(range(places), k)
            for which in product(range(width), repeat=k)
        )
        while len(active) and (some := list(islice(every, self.together))):
            self._try(active, some)
        return active.best

    def _try(self, active: Edited, some: list[tuple[tuple[int, int], ...]]) -> None:
        """Some changes of every active row, where they are new and admissible."""
        none = active.own["none"]
        made = none[:, None].repeat(1, len(some), 1)
        for c, edits in enumerate(some):
            for place, choice in edits:
                made[:, c, place] = active.own["choices"][:, place, choice]
        size = torch.tensor([len(edits) for edits in some], device=made.device)
        differs = (made != none[:, None]).sum(2) == size
        active.seen(made, active.asked(made, differs & active.admitted(made)))
