"""Sentences put around a question."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.fields import Count, Ingredient, Natural, NonNegative, ingredient, settings
from holdfast.threats.slots import Slots


@register("threat", name="sentences", cites="contextual-distraction")
@settings
class Sentences(Slots):
    """Sentences of a pool are put before and after a question that stays as it is.

    An input is a row `0 0 question 0 0` of numbers of whole sentences: free places hold the
    token, the first other number is the question, and the table says which sentences its pool
    holds. Which of them may be used together is up to a judge. `attacks/quiz.py` makes all this
    from questions, choices and a writer.

    Args:
        token: the id that marks a free place.
        vocabulary: number of sentences, questions included.
        forbid: ids that may not be used.
        share: share of the free places that may be used.
        writable: the judge, `(N, L) ids -> (N,) bool`: whether the answer to the question is
            still the same.
        options: wrong options of a question: columns of the table belong to them in equal
            groups, one after the other.
        table: `(V, options * S)` sentences of the pool of each question; its own number fills up.
    """

    name: ClassVar[str] = "sentences"
    token: Natural = 0
    vocabulary: Count = 256
    forbid: tuple[int, ...] = ()
    share: NonNegative = 1.0
    writable: Ingredient[Callable[[Tensor], Tensor]] = ingredient()
    options: Count = 1
    table: Ingredient[Tensor] = ingredient()

    def question(self, x: Tensor) -> Tensor:
        """`(B,)`: number of the question of each row."""
        first = (x != self.token).long().argmax(1, keepdim=True)
        return x.gather(1, first).squeeze(1)

    def choices(self, x: Tensor) -> Tensor:
        if self.table is None:
            return super().choices(x)
        pool = self.table.to(x.device)[self.question(x)]
        pool = torch.where(pool == self.question(x)[:, None], self.token, pool)
        return pool[:, None].expand(-1, self.where(x).shape[1], -1)

    def price(self, x: Tensor, change: Tensor) -> Tensor:
        price = super().price(x, change)
        if self.table is None:
            return price
        known = (self.choices(x)[:, :1] == change[..., None]).any(2)
        return torch.where(known | (price == 0), price, torch.inf)

    def children(self, x: Tensor, change: Tensor, dice: Dice) -> Tensor:
        """`(B, options, P)`: one more sentence for each wrong option, before or after at random.

        It goes to the free place nearest to the question on its side, or on the other side where
        that one is full; where all are full, nothing changes.
        """
        if not change.numel():
            return change[:, None].expand(-1, self.options, -1)
        choices = self.choices(x)[:, 0]
        group = choices.shape[1] // self.options
        pick = dice.integers(max(group, 1), (self.options,), device=x.device)
        pick = (pick + torch.arange(self.options, device=x.device) * group) % choices.shape[1]
        sentence = choices.gather(1, pick)
        side = dice.integers(2, (self.options, 1), device=x.device).bool()
        at = self.where(x) - (x != self.token).long().argmax(1, keepdim=True)
        # Farther places later, the other side later still, taken places last.
        far = at.abs()[:, None] + x.shape[1] * ((at > 0)[:, None] != side)
        far = far + 4 * x.shape[1] * (change != self.none(x))[:, None]
        place = far.argmin(2, keepdim=True)
        taken = (change != self.none(x)).all(1)[:, None, None]
        made = change[:, None].expand(-1, self.options, -1)
        return torch.where(taken, made, made.scatter(2, place, sentence[..., None]))
