"""What threats to tokens have in common: whole numbers put in the place of whole numbers."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Threat
from holdfast.threats.ball import in_radii


class Edits(Threat):
    """Inputs are token ids `(B, L)`; a change `(B, P)` holds the ids that stand at P places.

    `none` is what stands there already. What may stand at a place and what that costs is said
    by the threat: an edit costs `price`, the prices of a row sum to at most `budget`, and at
    most `edits` places of a row differ. Texts are rows of word numbers (`threats/words.py`), so
    one form serves words, characters, residues and tokens.

    Inputs and changes are whole numbers, so there is no steepest step; attacks on edits read the
    gradient at the embedding, or need none. `blank` is the id that stands for nothing: padding,
    never edited, and put over a token to see how much that token matters; -1 if there is none.
    Models that want a mask as well are wrapped: `lambda ids: model({"ids": ids, "mask": ids > 0})`.
    """

    discrete: ClassVar[bool] = True
    low = 0.0
    blank: int

    @abstractmethod
    def limits(self, x: Tensor) -> tuple[float, float]:
        """Budget of a row and its largest number of edits."""

    @abstractmethod
    def where(self, x: Tensor) -> Tensor:
        """`(B, P)`: position in the input of each place."""

    @abstractmethod
    def choices(self, x: Tensor) -> Tensor:
        """`(B, P, C)`: the ids that may stand at each place; its own id fills up."""

    @abstractmethod
    def price(self, x: Tensor, change: Tensor) -> Tensor:
        """`(B, P)` float64: cost of each edit, 0 where nothing changes, inf if not admitted."""

    def none(self, x: Tensor) -> Tensor:
        """The ids that stand at the places."""
        return self._ids(x).gather(1, self.where(x))

    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        return self._ids(x).scatter(1, self.where(x), change.to(x.dtype))

    def size(self, x: Tensor, change: Tensor) -> Tensor:
        """The larger of cost by budget and edits by their limit."""
        if change.is_floating_point() and bool((change != change.round()).any()):
            change = torch.where(change == change.round(), change, -1)
        price, (budget, edits) = self.price(x, change.to(x.dtype)), self.limits(x)
        count = (price > 0).sum(1).double()
        return torch.maximum(in_radii(price.sum(1), budget), in_radii(count, edits))

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        """Keeps edits from the left as long as they fit; what is not admitted is taken back."""
        whole = torch.nan_to_num(change, nan=-1.0).round() if change.is_floating_point() else change
        order = torch.arange(change.shape[1], device=x.device).expand(change.shape)
        return self.fitted(x, whole.to(x.dtype), order)

    def fitted(self, x: Tensor, change: Tensor, order: Tensor) -> Tensor:
        """The edits of a change that fit the limits, taken in ascending order of a number.

        Args:
            x: inputs.
            change: wanted.
            order: `(B, P)`: which edit comes first.
        """
        none = self.none(x)
        price, (budget, edits) = self.price(x, change), self.limits(x)
        change, price = _no_edit(change, price, none)
        rank = order.argsort(dim=1, stable=True)
        spent = price.gather(1, rank).cumsum(1)
        count = (price > 0).gather(1, rank).cumsum(1)
        # A hair of room, so that a sum in another order never refuses what fits exactly.
        fits = (spent <= budget * (1 + 1e-9)) & (count <= edits)
        return torch.where(torch.empty_like(fits).scatter_(1, rank, fits), change, none)

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        """Edits of random places until the limits are reached."""
        fresh = self.drawn(x, dice)
        order = dice.uniform(fresh.shape[1:], device=x.device, dtype=torch.float64)
        return self.fitted(x, fresh, order)

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        """Takes back a share of the edits, at least one, and makes as many others elsewhere."""
        none, places = self.none(x), change.shape[1]
        edited = (change != none).double()
        draw = dice.uniform((places,), device=x.device, dtype=torch.float64)
        # Edited places first, in random order: those up to the share are taken back.
        rank = (draw - 2 * edited).argsort(1).argsort(1)
        back = (rank < (share * edited.sum(1)).clamp(min=1)[:, None]) & (edited > 0)
        kept = torch.where(back, none, change)
        fresh = self.drawn(x, dice)
        few = draw.argsort(1).argsort(1) < max(1.0, share * places)
        moved = torch.where(few & (kept == none), fresh, kept)
        return self.fitted(x, moved, draw - 2 * (kept != none).double())

    def drawn(self, x: Tensor, dice: Dice) -> Tensor:
        """`(B, P)`: a random choice for every place, limits or not."""
        choices = self.choices(x)
        if not choices.shape[2]:
            return self.none(x)
        pick = dice.integers(choices.shape[2], choices.shape[1:2], device=x.device)
        return choices.gather(2, pick[:, :, None]).squeeze(2)

    def alone(self) -> Edits:
        """The same threat where rows do not depend on each other."""
        return self

    def admits(self, x: Tensor, change: Tensor) -> Tensor:
        """`(B,)` bool: whether a change is admissible."""
        return self.size(x, change) <= 1 + 1e-5

    def _ids(self, x: Tensor) -> Tensor:
        """The inputs, if they are token ids.

        Raises:
            Unsupported: if they are anything else.
        """
        if x.dim() != 2 or x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
            raise Unsupported(
                f"{self.spec}: needs token ids (B, L), got {x.dtype} {tuple(x.shape)}",
                fix="Encode texts first: Words.of(texts).ids(texts).",
            )
        return x


def _no_edit(change: Tensor, price: Tensor, none: Tensor) -> tuple[Tensor, Tensor]:
    """Edits that are not admitted, taken back at no cost."""
    wrong = price.isinf()
    return torch.where(wrong, none, change), price.masked_fill(wrong, 0.0)
