"""Goals about outputs with a position: pixels of a segmentation, tokens of a text."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.core.data import UNLABELLED
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.labels import largest, within
from holdfast.core.margin import Goal, Outputs, logits


@dataclass(frozen=True, eq=False)
class Pixels(Goal):
    """A share of the labelled positions (pixels, tokens) is wrong.

    The margin is the quantile of the per-position margins, so it is positive exactly if at
    least `share` of the labelled positions are won.

    Args:
        y: `(B, ...)` labels; -100 = does not count.
        share: share of labelled positions that must be won, in (0, 1].
    """

    y: Tensor
    share: float = 0.5
    _top: ClassVar[int] = -1  # follows from y: looked up once, no field

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ConfigError(
                f"Pixels: share must lie in (0, 1], got {self.share}", fix="Use share=0.5."
            )
        object.__setattr__(self, "_top", largest(self.y, "Pixels"))

    def ways(self, outputs: Outputs) -> Tensor:
        z, y = logits(outputs), self.y.to(logits(outputs).device)
        if z.shape[:-1] != y.shape or z.shape[-1] < 2:
            raise ShapeError(
                f"Pixels: outputs {tuple(z.shape)} do not match labels {tuple(y.shape)}",
                fix="The model must return logits (B, ..., K), classes last, for labels (B, ...).",
            )
        within(self._top, z.shape[-1], "Pixels")
        labels = y.clamp(min=0)[..., None]
        own = z.gather(-1, labels)
        best = z.scatter(-1, labels, -torch.inf).amax(-1, keepdim=True)
        margin = (best - own).squeeze(-1).flatten(1)
        counted = (y != UNLABELLED).flatten(1)
        ranked = margin.masked_fill(~counted, -torch.inf).sort(1, descending=True).values
        needed = (self.share * counted.sum(1)).ceil().long().clamp(min=1)
        return ranked.gather(1, needed[:, None] - 1)

    def take(self, rows: Tensor | slice) -> Pixels:
        taken = copy(self)  # its labels need not be looked through again
        object.__setattr__(taken, "y", self.y[rows])
        return taken


@dataclass(frozen=True, eq=False)
class Refuses(Goal):
    """The next token is one of those that begin a refusal; with `sign=-1`, that it is none.

    The margin is the best refusing token's lead over the best of all others, so its sign says
    which of the two greedy decoding would choose. An adversary who wants an answer to what
    should be declined takes `sign=-1`; one who wants to make the model useless takes `sign=1`.

    Args:
        at: `(B,)` position of the last token of each prompt, for outputs `(B, T, V)`; outputs
            `(B, V)` are those of the next token already.
        tokens: ids of the tokens that begin a refusal.
        sign: 1 if the adversary wants a refusal, -1 if it wants none.
    """

    at: Tensor
    tokens: tuple[int, ...]
    sign: int = 1

    def __post_init__(self) -> None:
        if not self.tokens or min(self.tokens) < 0 or self.sign not in (1, -1):
            raise ConfigError(
                f"Refuses: needs ids of tokens and a sign of 1 or -1, got {self.tokens} and "
                f"{self.sign}",
                fix="Refuses(at=lengths - 1, tokens=(40, 41)).",
            )

    def ways(self, outputs: Outputs) -> Tensor:
        z = logits(outputs)
        if z.dim() not in (2, 3) or len(z) != len(self.at) or z.shape[-1] <= max(self.tokens):
            raise ShapeError(
                f"Refuses: outputs {tuple(z.shape)} do not match {len(self.at)} prompts and token "
                f"{max(self.tokens)}",
                fix="The model must return logits (B, V) or (B, T, V) over its vocabulary.",
            )
        if z.dim() == 3:
            z = z[torch.arange(len(z), device=z.device), self.at.to(z.device)]
        refusing = torch.zeros(z.shape[1], dtype=torch.bool, device=z.device)
        refusing[list(self.tokens)] = True
        lead = z[:, refusing].amax(1) - z.masked_fill(refusing, -torch.inf).amax(1)
        return (self.sign * lead)[:, None]

    def take(self, rows: Tensor | slice) -> Refuses:
        return Refuses(self.at[rows], self.tokens, self.sign)
