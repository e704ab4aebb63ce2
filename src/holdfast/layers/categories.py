"""Values of categorical columns as vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ValueEmbedding(nn.Module):
    """One vector per value of each column; shares of several values give their mixture.

    Args:
        columns: L.
        values: T, how many values a column may have.
        width: numbers per vector.
    """

    def __init__(self, columns: int, values: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(columns, values, width))

    def forward(self, x: Tensor) -> Tensor:
        """`(B, L)` whole numbers or `(B, L, T)` shares to `(B, L * width)`."""
        shares = x if x.dim() == 3 else F.one_hot(x.long(), self.table.shape[1])
        return torch.einsum("blt,ltw->blw", shares.to(self.table), self.table).flatten(1)

    def groups(self, distance: float) -> Tensor:
        """`(L, T)`: values of a column with one number lie close and are told apart no more.

        Values are joined from the closest on, as long as no two members of a group lie further
        apart than the distance. What an adversary can cheaply exchange is close in a table that
        was trained under attack, so any model that is fitted on the numbers of the groups (a
        tree) does not see such exchanges.

        Args:
            distance: in units of the table's largest distance within any column.
        """
        from sklearn.cluster import AgglomerativeClustering

        table = self.table.detach().double().cpu()
        far = torch.cdist(table, table)
        limit = distance * float(far.max())
        found = [
            AgglomerativeClustering(
                n_clusters=None, distance_threshold=limit + 1e-12, linkage="complete",
                metric="precomputed",
            ).fit_predict(each.numpy())
            for each in far
        ]  # fmt: skip
        return torch.stack([torch.as_tensor(labels) for labels in found]).to(self.table.device)


def grouped(x: Tensor, groups: Tensor) -> Tensor:
    """`(B, L)`: the group of each value.

    Args:
        x: `(B, L)` whole numbers.
        groups: `(L, T)`.
    """
    return groups[torch.arange(x.shape[1], device=x.device), x.long()]
