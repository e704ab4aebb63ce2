"""The active set: rows that are still unbroken, with everything that belongs to them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from holdfast.core.dice import Dice, dice_or
from holdfast.core.goal import Goal
from holdfast.core.kinds import Model, Threat
from holdfast.ops.batch import chunks, pick, portion, select
from holdfast.run.search import judged, stronger
from holdfast.threats.ball import at, staying


def cut(values: Tensor) -> Tensor:
    """The same numbers without what they were computed from, where that is remembered."""
    return values.detach() if values.requires_grad else values


class Active:
    """Best change of every row, and the rows that are still worth a pass.

    Property: a row that was seen with a margin of at least 0 (or a non-finite output) leaves at
    once, so it never costs another pass. Where one change serves all rows (a coupled threat) no
    row can leave; the change that breaks most rows is kept, the larger mean margin deciding
    between equals. Leaving needs the positions of the rows that stay,
    which is the only point of an attack's loop at which the host waits for the device.

    Args:
        model: the function under attack.
        x: `(B, ...)` inputs.
        goal: of all rows.
        threat: of all rows.
        dice: of all rows.
        family: `(B,)` numbers; where one member of a family is broken, all of them leave. Rows
            are repeated this way to be attacked from several sides at once.
    """

    def __init__(
        self,
        model: Model,
        x: Tensor,
        goal: Goal,
        threat: Threat,
        dice: Dice | None,
        family: Tensor | None = None,
    ) -> None:
        self.model, self.x, self.goal = model, x, goal
        self.family, self._all = family, dice_or(dice, len(x))
        self._dice: Dice | None = self._all
        self._families = 0 if family is None or not len(family) else int(family.max()) + 1
        self.coupled = bool(getattr(threat, "coupled", False))
        self.index = torch.arange(len(x), device=x.device)
        self._left = threat.none(x).detach().clone()  # best changes of rows that have left
        self.threat = at(threat, x)
        self._best = self._left  # best changes of the active rows, and their margins
        self._margin = torch.full((len(x),), -torch.inf, device=x.device, dtype=torch.float64)
        self._reached = self._margin  # margins of the best changes of rows that have left
        self.first, self._fresh = self._margin, True  # margins of the first changes seen

    def __len__(self) -> int:
        return self.index.shape[0]

    @property
    def best(self) -> Tensor:
        """The best change seen of every row, those that have left included."""
        return self._left.index_copy(0, self.index, self._best)

    @property
    def reached(self) -> Tensor:
        """`(B,)`: the margin of the best change seen of every row, -inf where none was seen."""
        return self._reached.index_copy(0, self.index, self._margin)

    @property
    def dice(self) -> Dice:
        """The dice of the active rows, which count their calls with those of all."""
        if self._dice is None:
            self._dice = self._all.take(self.index)
        return self._dice

    def see(self, change: Tensor, margin: Tensor) -> Tensor | None:
        """Remember a change of every active row; drop the rows that it broke.

        Args:
            change: of the active rows.
            margin: `(A,)` under that change, +inf for a non-finite output.

        Returns:
            Positions among the active rows that stay, or None if all of them do.
        """
        change, margin = cut(change).to(self._left), cut(margin)
        if self._fresh:  # margins keep the type that the judge gives them: rounding could win a row
            self._margin = self._reached = self._margin.to(margin.dtype)
            self.first, self._fresh = margin, False
        if self.coupled:
            if stronger(margin, self._margin):
                self._best, self._margin = change.clone(), margin
            return None
        better = margin > self._margin
        self._best = pick(better, change, self._best)
        self._margin = torch.maximum(margin, self._margin)
        stay = self._unbroken(margin)
        if stay.shape[0] == len(self):
            return None
        self._left = self._left.index_copy_(0, self.index, self._best)  # `_best` is apart by now
        self._reached = self._reached.index_copy(0, self.index, self._margin)
        self._best, self._margin = select(self._best, stay), select(self._margin, stay)
        self.index, self.x = select(self.index, stay), select(self.x, stay)
        self.goal, self.threat = self.goal.take(stay), staying(self.threat, stay, self.x)
        self._dice = None  # drawn from again in few steps
        if self.family is not None:
            self.family = self.family[stay]
        return stay

    def _unbroken(self, margin: Tensor) -> Tensor:
        """Positions of the rows that stay: neither they nor a member of their family is broken."""
        safe = margin < 0  # a margin is a number
        if self.family is not None:
            lost = torch.zeros(self._families, dtype=torch.int64, device=safe.device)
            safe = lost.index_add(0, self.family, (~safe).long())[self.family] == 0
        return safe.nonzero().flatten()

    def margins(self, change: Tensor) -> Tensor:
        """`(A,)`: margins of the active rows under a change, without gradient."""
        with torch.no_grad():
            if self.coupled or 0 < len(self) <= portion(self.x):
                outputs = self.threat.through(self.model, self.x, change)
                return judged(self.goal, outputs)[0]
            seen = [
                judged(goal, threat.through(self.model, x, change[p]))[0]
                for p, x, goal, threat in self.parts()
            ]
        return torch.cat(seen) if seen else self._margin

    def parts(self) -> Iterator[tuple[slice, Tensor, Goal, Threat]]:
        """The active rows in pieces, as many at once as the caches hold."""
        for p in chunks(len(self), portion(self.x)):
            x = self.x[p]
            yield p, x, self.goal.take(p), staying(self.threat, p, x)
