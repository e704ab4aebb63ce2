"""What minimum-norm attacks share: open rows, and the smallest winning change of every row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import cos, pi

import torch
from torch import Tensor

from holdfast.attacks.climb import slopes
from holdfast.core.dice import Dice, dice_or
from holdfast.core.goal import Goal
from holdfast.core.kinds import Model
from holdfast.ops.batch import chunks, fit, pick, portion
from holdfast.ops.geometry import norm, room
from holdfast.run.search import judged
from holdfast.threats.ball import Additive


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows that an attack is working on, with all that belongs to them.

    Args:
        model: the function under attack.
        x: `(A, ...)` inputs.
        goal: of these rows.
        threat: of these rows.
        dice: of these rows.
        index: `(A,)` their positions in the whole batch.
    """

    model: Model
    x: Tensor
    goal: Goal
    threat: Additive
    dice: Dice
    index: Tensor

    def __len__(self) -> int:
        return len(self.index)

    def take(self, stay: Tensor) -> Rows:
        """Some of these rows; their draws are counted together."""
        return Rows(
            self.model, self.x[stay], self.goal.take(stay), self.threat.take(stay),
            self.dice.take(stay), self.index[stay],
        )  # fmt: skip

    @property
    def width(self) -> float:
        """How far apart the ends of the box lie: the unit of steps."""
        return self.threat.high - self.threat.low

    @property
    def room(self) -> tuple[Tensor, Tensor]:
        """How far each coordinate may go down (<= 0) and up (>= 0)."""
        return room(self.x, self.threat.low, self.threat.high)

    def boxed(self, change: Tensor) -> Tensor:
        """The change, clamped to the box."""
        down, up = self.room
        return torch.minimum(torch.maximum(change, down), up)

    def margins(self, change: Tensor) -> Tensor:
        """`(A,)`: margins under a change, without gradient."""
        with torch.no_grad():
            seen = [
                judged(part.goal, part.threat.through(part.model, part.x, change[at].to(part.x)))[0]
                for at, part in self.portions()
            ]
        return torch.cat(seen) if seen else change.flatten(1).sum(1)

    def portions(self) -> Iterator[tuple[slice, Rows]]:
        """These rows, as many at a time as are best sent through a model at once."""
        size = portion(self.x)
        if len(self) <= size:
            return iter([(slice(None), self)] if len(self) else [])
        index = torch.arange(len(self), device=self.index.device)
        return ((at, self.take(index[at])) for at in chunks(len(self), size))

    def slope(self, change: Tensor, climb: str = "margin") -> tuple[Tensor, Tensor]:
        """Margins at a change, and the gradient of what is climbed."""
        seen = [
            slopes(part.model, part.x, part.goal, part.threat, change[at].to(part.x), climb=climb)
            for at, part in self.portions()
        ]
        return torch.cat([each.margin for each in seen]), torch.cat([e.gradient for e in seen])


class Smallest:
    """The smallest winning change of every row, and the rows that are still worth a pass.

    Property: unless the attack is to go on shrinking, a row leaves as soon as a winning change
    inside the threat is known; a row that is lost without any change always leaves at once. What
    is kept depends on the row alone. A row that was never won keeps the change with the largest
    margin seen.

    Args:
        model: the function under attack.
        x: `(B, ...)` inputs.
        goal: of all rows.
        threat: whose order says what small means.
        dice: of all rows.
        shrink: go on where a winning change inside the threat is known.

    Cost: one forward per row, at no change.
    """

    def __init__(
        self,
        model: Model,
        x: Tensor,
        goal: Goal,
        threat: Additive,
        dice: Dice | None,
        *,
        shrink: bool,
    ) -> None:
        index, dice = torch.arange(len(x), device=x.device), dice_or(dice, len(x))
        whole = Rows(model, x, goal, threat, dice, index)
        self.threat, self.x, self.shrink = threat, x, shrink
        self._unit = replace(threat, radius=1.0)  # type: ignore[type-var]
        self.change = threat.none(x).detach().clone()
        self.length = torch.full((len(x),), torch.inf, device=x.device, dtype=self.change.dtype)
        self._margin = torch.full_like(self.length, -torch.inf)
        self.clean = whole.margins(self.change) if len(x) else self.length
        stay = self.see(whole, self.change, self.clean)
        self.open = whole if stay is None else whole.take(stay)

    def see(self, rows: Rows, change: Tensor, margin: Tensor, ahead: float = 0.0) -> Tensor | None:
        """Remember a change of some rows; say which of them are worth another pass.

        Args:
            rows: which.
            change: of these rows, inside the box.
            margin: `(A,)` under that change, +inf for a non-finite output.
            ahead: margin from which on a row counts as won.

        Returns:
            Positions among these rows that stay, or None if all of them do.
        """
        at, won = rows.index, margin >= ahead  # before rounding, which could win a row
        change, margin = change.detach().to(self.change), margin.detach().to(self._margin)
        length = self._unit.size(rows.x, change).to(self.length)
        known, best = self.length[at], self._margin[at]
        better = torch.where(won, length < known, known.isinf() & (margin > best))
        self.change[at] = pick(better, change, self.change[at])
        self._margin[at] = torch.where(better, margin, best)
        self.length[at] = known = torch.where(better & won, length, known)
        done = known <= (0.0 if self.shrink else self.threat.radius)
        stay = (~done).nonzero().flatten()
        return None if len(stay) == len(rows) else stay

    def still(self) -> Rows:
        """The rows that are still worth a pass, for another start."""
        done = self.length[self.open.index] <= (0.0 if self.shrink else self.threat.radius)
        self.open = self.open.take((~done).nonzero().flatten()) if bool(done.any()) else self.open
        return self.open

    @property
    def found(self) -> Tensor:
        """The change of every row to hand back.

        Where it is only asked whether the threat breaks a row, changes that are too long are
        shortened to the nearest admissible one; otherwise winning ones keep their length.
        """
        return self.nearest if self.shrink else self.threat.project(self.x, self.change)

    @property
    def nearest(self) -> Tensor:
        """The smallest winning change of every row; the best admissible one where none won."""
        inside = self.threat.project(self.x, self.change)
        return pick(self.length.isfinite(), self.change, inside)


def cosine(first: float, last: float, share: float) -> float:
    """A setting that falls from `first` to `last` along half a cosine."""
    return last + (first - last) * (1 + cos(pi * share)) / 2


def straight(gradient: Tensor) -> Tensor:
    """A gradient at Euclidean length 1; zero stays zero."""
    size = norm(gradient, 2)
    scale = torch.where(size > 0, 1 / size.clamp(min=torch.finfo(size.dtype).tiny), 0.0)
    return gradient * fit(scale, gradient).to(gradient)
