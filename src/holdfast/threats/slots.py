"""Free positions in a prompt: suffixes for one prompt each, and triggers for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.fields import Count, Ingredient, Natural, NonNegative, ingredient, settings
from holdfast.threats.edits import Edits
from holdfast.threats.number import read, shown
from holdfast.threats.tokens import numbers

S = TypeVar("S", bound="Slots")


@register("threat", name="slots", cites="gcg")
@settings
class Slots(Edits):
    """The positions that hold a chosen token are free: a suffix, a prefix, a gap in a prompt.

    Write the prompt with that token wherever the adversary may write (`prompt ! ! !`, in front
    of the target that is teacher-forced); no change is the prompt as it stands. A change holds
    the ids of the free positions, from left to right; every row needs equally many.

    Args:
        token: the id that marks a free position.
        vocabulary: number of tokens.
        forbid: ids that may not be used (specials, what is not plain text).
        share: share of the free positions that may be used.
        writable: `(N, L) ids -> (N,) bool`: whether decoding and encoding again gives the same
            ids; changed inputs that do not survive it are not admissible.
    """

    name: ClassVar[str] = "slots"
    blank = -1
    token: Natural = 0
    vocabulary: Count = 256
    forbid: tuple[int, ...] = ()
    share: NonNegative = 1.0
    writable: Ingredient[Callable[[Tensor], Tensor]] = ingredient()

    @property
    def high(self) -> float:  # type: ignore[override]
        """The largest id."""
        return self.vocabulary - 1.0

    @property
    def spec(self) -> str:
        barred = ",".join(str(i) for i in self.forbid)
        words = [self.name, str(self.token), str(self.vocabulary), shown(self.share), barred]
        return ":".join(words if barred else words[:-1])

    @classmethod
    def parsed(cls: type[S], words: list[str], text: str) -> S:
        """From the words behind the name: token, vocabulary, share, forbidden ids."""
        if not 2 <= len(words) <= 4:
            raise ConfigError(
                f"threat {text!r}: {cls.name} takes a token and the size of the vocabulary",
                fix=f"Write {cls.name}:0:30522.",
                code="E0140",
            )
        token, vocabulary = numbers(words[:2], text, 2, 2, f"{cls.name}:0:30522")
        share = read(words[2], text) if len(words) > 2 else 1.0
        barred = words[3].split(",") if len(words) > 3 else []
        forbid = tuple(numbers(barred, text, 0, vocabulary, f"{cls.name}:0:30522:1:5,6"))
        return cls(token=token, vocabulary=vocabulary, share=share, forbid=forbid)

    def where(self, x: Tensor) -> Tensor:
        """The free positions.

        Raises:
            ShapeError: where rows differ in how many they have.
        """
        free = self._ids(x) == self.token
        count = free.sum(1)
        if len(x) and bool((count != count[0]).any()):
            raise ShapeError(
                f"{self.spec}: rows have {int(count.min())} to {int(count.max())} free positions",
                fix=f"Put token {self.token} equally often into every row.",
            )
        return free.nonzero()[:, 1].reshape(len(x), int(count[0]) if len(x) else 0)

    def limits(self, x: Tensor) -> tuple[float, float]:
        most = float(int(self.share * self.where(x).shape[1] + 1e-9))
        return most, most

    def choices(self, x: Tensor) -> Tensor:
        allowed = torch.ones(self.vocabulary, dtype=torch.bool)
        allowed[[i for i in self.forbid if i < self.vocabulary]] = False
        return allowed.nonzero().flatten().to(x.device).expand(*self.where(x).shape, -1)

    def price(self, x: Tensor, change: Tensor) -> Tensor:
        known = (change >= 0) & (change < self.vocabulary)
        for barred in self.forbid:
            known &= change != barred
        cost = torch.where(known, 1.0, torch.inf).double()
        return torch.where(change == self.none(x), 0.0, cost)

    def size(self, x: Tensor, change: Tensor) -> Tensor:
        """Share of the free positions used; infinite where the text could not be written."""
        return super().size(x, change).masked_fill(self._unwritable(x, change), torch.inf)

    def fitted(self, x: Tensor, change: Tensor, order: Tensor) -> Tensor:
        """What fits the limits; nothing where the text could not be written."""
        fits = super().fitted(x, change, order)
        return torch.where(self._unwritable(x, fits)[:, None], self.none(x), fits)

    def _unwritable(self, x: Tensor, change: Tensor) -> Tensor:
        """`(B,)` bool: changed texts whose ids do not survive decoding."""
        changed = (change != self.none(x)).any(1)
        if self.writable is None or not len(x):
            return torch.zeros_like(changed)
        return changed & ~self.writable(self.apply(x, change)).to(x.device)

    def scaled(self: S, factor: float) -> S:
        return replace(self, share=self.share * factor)


@register("threat", name="trigger", cites="gbtl")
@settings
class Trigger(Slots):
    """The same tokens in the free positions of every prompt: a universal suffix or trigger.

    Rows depend on each other by nature (`coupled`): attack all rows in one chunk.

    Args:
        token: the id that marks a free position.
        vocabulary: number of tokens.
        forbid: ids that may not be used.
        share: share of the free positions that may be used.
        writable: whether changed inputs survive decoding and encoding again.
    """

    name: ClassVar[str] = "trigger"
    coupled: ClassVar[bool] = True
    token: Natural = 0
    vocabulary: Count = 256
    forbid: tuple[int, ...] = ()
    share: NonNegative = 1.0
    writable: Ingredient[Callable[[Tensor], Tensor]] = ingredient()

    def fitted(self, x: Tensor, change: Tensor, order: Tensor) -> Tensor:
        """The first row, for all of them; nothing where one of the texts could not be written."""
        fits = super().fitted(x, change[:1].expand(change.shape), order[:1].expand(order.shape))
        same = (fits == fits[:1]).all() if len(fits) else True
        return fits if bool(same) else self.none(x)

    def size(self, x: Tensor, change: Tensor) -> Tensor:
        """As of slots; infinite where rows hold different tokens."""
        apart = (change != change[:1]).any(1)
        return super().size(x, change).masked_fill(apart, torch.inf)

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        return super().sample(x, self._one(x, dice))

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        return super().near(x, change, share, self._one(x, dice), gradient)

    def drawn(self, x: Tensor, dice: Dice) -> Tensor:
        return super().drawn(x, self._one(x, dice))

    def _one(self, x: Tensor, dice: Dice) -> Dice:
        """Equal draws for all rows."""
        same = dice.keyed(torch.zeros(len(x), dtype=torch.int64))
        same._calls = dice._calls  # counted together, as `Dice.one` does
        return same

    def alone(self) -> Slots:
        """Free positions of which each row has its own tokens."""
        return Slots(
            token=self.token,
            vocabulary=self.vocabulary,
            forbid=self.forbid,
            share=self.share,
            writable=self.writable,
        )
