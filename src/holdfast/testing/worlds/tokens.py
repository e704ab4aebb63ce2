"""A classifier of token ids that adds up what each token says: its worst edits are known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from holdfast.core.goal import Untargeted
from holdfast.testing.worlds.linear import draws


class BagModel(nn.Module):
    """Logits are a linear function of the sum of embeddings, each weighed by its position.

    Args:
        table: `(V, D)` embeddings.
        weights: `(L,)` weight of each position.
        out: `(K, D)` weights of the classes.
    """

    def __init__(self, table: Tensor, weights: Tensor, out: Tensor) -> None:
        super().__init__()
        self.table = nn.Embedding(len(table), table.shape[1], dtype=table.dtype)
        self.head = nn.Linear(table.shape[1], len(out), bias=False, dtype=table.dtype)
        self.weights = nn.Parameter(weights)
        with torch.no_grad():
            self.table.weight.copy_(table)
            self.head.weight.copy_(out)

    def forward(self, ids: Tensor) -> Tensor:
        """`(B, K)` logits of ids `(B, L)`."""
        z: Tensor = self.head((self.table(ids) * self.weights[:, None]).sum(1))
        return z


@dataclass(frozen=True, eq=False)
class Tokens:
    """Rows of token ids, a model that is additive in the positions, and its own answers.

    Args:
        model: ids `(B, L)` to logits `(B, K)`.
        x: `(B, L)` ids; token 0 stands at exactly two positions of each row.
        y: `(B,)` the model's answers.
    """

    model: BagModel
    x: Tensor
    y: Tensor

    @classmethod
    def make(
        cls,
        rows: int = 8,
        length: int = 6,
        vocabulary: int = 12,
        classes: int = 3,
        seed: int = 0,
    ) -> Tokens:
        """Random embeddings, weights between a half and one."""
        g = draws(seed)
        table = torch.randn(vocabulary, 4, generator=g, dtype=torch.float64)
        weights = 0.5 + 0.5 * torch.rand(length, generator=g, dtype=torch.float64)
        out = torch.randn(classes, 4, generator=g, dtype=torch.float64)
        model = BagModel(table, weights, out)
        x = torch.randint(1, vocabulary, (rows, length), generator=g)
        free = torch.rand(rows, length, generator=g).argsort(1)[:, :2]
        x = x.scatter(1, free, 0)
        with torch.no_grad():
            return cls(model, x, model(x).argmax(1))

    @property
    def goal(self) -> Untargeted:
        """Any other class."""
        return Untargeted(self.y)

    def worst(self, edits: int, choices: Tensor) -> Tensor:
        """`(B,)`: exact largest margin after at most so many replacements.

        The lead of a class is a sum over positions, so its best replacements are the positions
        with the largest gains, each with its best choice.

        Args:
            edits: largest number of replacements of a row.
            choices: `(B, L, C)` ids that may stand at each position.
        """
        with torch.no_grad():
            said = self.model.table.weight @ self.model.head.weight.T
            own = said[self.x] * self.model.weights[:, None]
            new = said[choices] * self.model.weights[:, None, None]
            label = self.y[:, None, None]
            other = torch.arange(said.shape[1]).expand(len(self.x), -1) != self.y[:, None]
            before = own - own.gather(2, label.expand(*own.shape[:2], 1))
            after = new - new.gather(3, label[..., None].expand(*new.shape[:3], 1))
            gains = (after.amax(2) - before).clamp(min=0).sort(1, descending=True).values
            worst: Tensor = before.sum(1) + gains[:, :edits].sum(1)
            return worst.masked_fill(~other, -torch.inf).amax(1)
