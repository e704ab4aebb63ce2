"""A language model that is a lookup table: every probability is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from holdfast.core.goal import Refuses
from holdfast.testing.worlds.linear import draws


class LookupModel(nn.Module):
    """The logits of the next token are the row of a table that belongs to the last token.

    Args:
        table: `(V, V)` logits of the next token, one row per token.
    """

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Embedding(len(table), len(table), dtype=table.dtype)
        with torch.no_grad():
            self.table.weight.copy_(table)

    def forward(self, x: Tensor | Mapping[str, Tensor]) -> Tensor:
        """`(B, T, V)` logits for ids `(B, T)`, alone or as `{"ids", "mask"}`."""
        out: Tensor = self.table(x if isinstance(x, Tensor) else x["ids"])
        return out


@dataclass(frozen=True, eq=False)
class Language:
    """Texts drawn from a lookup table, and the table as a model.

    Args:
        model: ids `(B, T)` to logits `(B, T, V)`.
        ids: `(B, T)` texts, padded with 0 behind their ends.
        mask: `(B, T)` bool, which tokens are text.
        refusing: tokens that begin a refusal.
    """

    model: LookupModel
    ids: Tensor
    mask: Tensor
    refusing: tuple[int, ...] = (1, 2)

    @classmethod
    def make(cls, rows: int = 12, tokens: int = 7, length: int = 6, seed: int = 0) -> Language:
        """A random table; the texts follow it, with lengths from 2 to `length`.

        Tokens 1 and 2 begin a refusal; where there are but two tokens, token 1 alone.
        """
        g = draws(seed)
        table = 2 * torch.randn(tokens, tokens, generator=g, dtype=torch.float64)
        ids = torch.zeros(rows, length, dtype=torch.int64)
        ids[:, 0] = torch.randint(tokens, (rows,), generator=g)
        for t in range(1, length):
            chances = table[ids[:, t - 1]].softmax(1)
            ids[:, t] = torch.multinomial(chances, 1, generator=g)[:, 0]
        ends = torch.randint(2, length + 1, (rows,), generator=g)
        mask = torch.arange(length) < ends[:, None]
        refusing = (1, 2) if tokens > 2 else (1,)
        return cls(LookupModel(table), ids * mask, mask, refusing)

    @property
    def x(self) -> dict[str, Tensor]:
        """The texts as a language model takes them."""
        return {"ids": self.ids, "mask": self.mask}

    @property
    def last(self) -> Tensor:
        """`(B,)`: position of the last token of each text."""
        return self.mask.sum(1) - 1

    def log_chance(self) -> Tensor:
        """`(B,)`: log-probability of each text given its first token, from the table itself."""
        table = self.model.table.weight.detach().log_softmax(1)
        steps = table[self.ids[:, :-1], self.ids[:, 1:]]
        return (steps * self.mask[:, 1:]).sum(1)

    def goal(self, sign: int = 1) -> Refuses:
        """That the next token begins a refusal, or with sign -1 that it does not."""
        return Refuses(self.last, self.refusing, sign)

    def bound(self, radius: float, sign: int = 1) -> Tensor:
        """`(B,)`: no change of the table's output by a share of its length exceeds this margin.

        The budget of a row is `radius` times the length of all its logits. Spent on the last
        token alone, half the square on each of two logits, it moves their difference by sqrt(2)
        times the budget. That is attained where no third logit comes in between: always with
        two tokens.
        """
        with torch.no_grad():
            out = self.model(self.ids)
            clean = self.goal(sign)(out)
            length: Tensor = torch.linalg.vector_norm(out.flatten(1), dim=1)
        return clean + 2**0.5 * radius * length
