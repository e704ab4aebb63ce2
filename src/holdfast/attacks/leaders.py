"""The ascents of each row that came nearest, so that longer ones go on from them."""

from __future__ import annotations

import torch
from torch import Tensor


class Leaders:
    """For every row the ways that came nearest, and the changes that came so near.

    Args:
        change: `(B, ...)` one change per row, for its form.
        count: ways kept per row.
    """

    def __init__(self, change: Tensor, count: int) -> None:
        self.margin = torch.full((len(change), count), -torch.inf, device=change.device)
        self.way = torch.zeros((len(change), count), dtype=torch.int64, device=change.device)
        self.change = change[:, None].repeat(1, count, *[1] * (change.dim() - 1))

    def add(self, rows: Tensor, ways: Tensor, some: slice, margin: Tensor, change: Tensor) -> None:
        """Let ascents take their places.

        Args:
            rows: positions of rows.
            ways: `(rows, W)` what each ascent climbed.
            some: those of the rows that are told of.
            margin: `(R, W)` how near the ascents of these came.
            change: `(R, W, ...)` where that was.
        """
        rows, ways = rows[some], ways[some]
        margins = torch.cat([self.margin[rows], margin.to(self.margin)], 1)
        best = margins.topk(self.margin.shape[1], 1).indices
        which = torch.arange(len(rows), device=rows.device)[:, None], best
        self.margin[rows] = margins[which]
        self.way[rows] = torch.cat([self.way[rows], ways], 1)[which]
        self.change[rows] = torch.cat([self.change[rows], change], 1)[which]
