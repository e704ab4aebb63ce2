"""Minimum-norm attacks: what one has seen goes into a record that another may go on with."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from holdfast.attacks.smallest import Smallest
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Goal
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.threats.ball import Additive


class MinimumNorm(Attack):
    """An attack that looks for the smallest winning change of every row.

    Property: all that it sees goes into one record, `Smallest`, which says which rows are still
    worth a pass. An attack that starts where another one ended hands on its record, so that no
    row is looked at again to learn what was known.
    """

    orders: ClassVar[tuple[float, ...]]  # of the lengths that it can shrink; 0 counts positions
    smallest: bool

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        ball = measured(threat, self.orders, type(self).__name__)
        known = Smallest(model, x, goal, ball, dice, shrink=self.smallest)
        if len(known.still()):
            self.shorten(known)
        return known.found

    @abstractmethod
    def shorten(self, known: Smallest) -> None:
        """Look for smaller winning changes of the rows that are open, of which there are some."""


def measured(threat: Threat, orders: tuple[float, ...], who: str) -> Additive:
    """The threat, if changes have a length in it that the attack knows how to shrink.

    Args:
        threat: any.
        orders: of the lengths that the attack covers; 0 counts positions.
        who: the attack, for the message.

    Raises:
        Unsupported: for another length, and for changes without one.
    """
    if not isinstance(threat, Additive) or threat.order not in orders:
        names = {0.0: "l0:5", 1.0: "l1:2", 2.0: "l2:0.5", float("inf"): "linf:8/255"}
        raise Unsupported(
            f"{who} cannot shrink changes of {threat.spec}",
            fix=f"Use a threat such as {' or '.join(names[o] for o in orders)}.",
        )
    return threat
