"""Rows at positions: copied whole where that is faster, and always those of `take`."""

from __future__ import annotations

import pytest
import torch

from holdfast.ops.batch import Inputs, select, take

X = torch.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4).repeat(3, 1, 1, 1) + torch.rand(6, 1, 1, 1)


@pytest.mark.parametrize(
    "x",
    [
        X, X.to(memory_format=torch.channels_last), X.transpose(1, 3), torch.arange(6),
        torch.tensor([True, False] * 3), {"ids": torch.arange(6), "deep": X}, list("abcdef"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("rows", [[3, 0, 5], [2], []])
def test_rows_are_those_of_take(x: Inputs, rows: list[int]) -> None:
    positions = torch.tensor(rows, dtype=torch.int64)
    one, other = select(x, positions), take(x, positions)
    if isinstance(one, list):
        assert one == other
        return
    pairs = [(one[k], other[k]) for k in one] if isinstance(one, dict) else [(one, other)]
    for a, b in pairs:
        assert torch.equal(a, b) and (a.stride() == b.stride() or not rows)
