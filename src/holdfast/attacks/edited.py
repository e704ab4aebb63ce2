"""The active set of attacks on tokens: changes are whole numbers, margins are not."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Goal
from holdfast.core.kinds import Model, Threat
from holdfast.run.search import judged
from holdfast.threats.edits import Edits


class Edited(Active):
    """Active rows of a threat to tokens, with what an attack keeps about each of them.

    Args:
        model: the function under attack.
        x: `(B, L)` token ids.
        goal: of all rows.
        threat: of all rows; its changes are whole numbers.
        dice: of all rows.

    Raises:
        Unsupported: if the changes of the threat are no edits.
    """

    def __init__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, dice: Dice | None
    ) -> None:
        if not isinstance(threat, Edits):
            raise Unsupported(
                f"{threat.spec} is no threat to tokens",
                fix="Use substitutions, slots or residues, or attack:pgd for other threats.",
            )
        super().__init__(model, x, goal, threat, dice)
        self.edits: Edits = threat  # the threats of edits hold nothing that belongs to a row
        self._margin = self._reached = self._margin.double()
        self.own: dict[str, Tensor] = {}  # rows first; those of broken rows are dropped

    def see(self, change: Tensor, margin: Tensor) -> Tensor | None:
        """Remember a change of every active row; drop the rows that it broke, and their own."""
        stay = super().see(change, margin)
        if stay is not None:
            self.own = {name: value[stay] for name, value in self.own.items()}
        return stay

    def admitted(self, made: Tensor) -> Tensor:
        """`(A, K)` bool: which of several changes per row, `(A, K, P)`, are admissible."""
        x = self.x.repeat_interleave(made.shape[1], 0)
        return self.edits.admits(x, made.flatten(0, 1)).view(made.shape[:2])

    def asked(self, made: Tensor, due: Tensor) -> Tensor:
        """`(A, K)` float64: margins of several changes per row, `(A, K, P)`, in one call.

        What is not due `(A, K)` costs nothing and gets -inf.
        """
        margin = torch.full(due.shape, -torch.inf, device=self.x.device, dtype=torch.float64)
        row, which = due.nonzero(as_tuple=True)
        if len(row):
            threat = self.threat.take(row)
            with torch.no_grad():
                outputs = threat.through(self.model, self.x[row], made[row, which])
            margin[row, which] = judged(self.goal.take(row), outputs)[0].double()
        return margin

    def seen(self, made: Tensor, margin: Tensor) -> None:
        """Remember the first of several changes per row that breaks it, or else the best one."""
        best = torch.where(margin.amax(1) >= 0, (margin >= 0).long().argmax(1), margin.argmax(1))
        rows = torch.arange(len(made), device=made.device)
        self.see(made[rows, best], margin[rows, best])

    def start(self) -> Tensor:
        """`(A,)`: margins without any change; rows that are broken already leave."""
        everyone = torch.ones(len(self), 1, dtype=torch.bool, device=self.x.device)
        self.own["margin"] = self.asked(self.best[:, None], everyone).squeeze(1)
        self.see(self.best, self.own["margin"])
        return self.own["margin"]
