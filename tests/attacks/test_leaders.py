"""The nearest ascents of each row, against a sort of all that was told."""

from __future__ import annotations

import torch

from holdfast.attacks.leaders import Leaders

ROWS, COUNT = 6, 2


def test_the_nearest_of_all_waves_are_kept() -> None:
    """Whatever the order and the portions in which ascents are told of."""
    dice = torch.Generator().manual_seed(0)
    leaders, told = Leaders(torch.zeros(ROWS, 3), COUNT), {row: [] for row in range(ROWS)}
    for first, rows in ((1, [0, 2, 3, 5]), (4, [2, 5]), (7, [0, 1, 2, 3, 4, 5])):
        some = torch.tensor(rows)
        ways = torch.arange(first, first + 3).repeat(len(rows), 1)
        margin = torch.randn(len(rows), 3, generator=dice)
        change = margin[..., None] * torch.ones(3)  # a change says whose it is
        for part in (slice(0, 1), slice(1, None)):
            leaders.add(some, ways, part, margin[part], change[part])
        for k, row in enumerate(rows):
            told[row] += zip(margin[k].tolist(), ways[k].tolist(), strict=True)
    for row, all_ in told.items():
        best = sorted(all_, reverse=True)[:COUNT]
        assert (
            list(zip(leaders.margin[row].tolist(), leaders.way[row].tolist(), strict=True)) == best
        )
        assert torch.equal(leaders.change[row], leaders.margin[row][:, None] * torch.ones(3))


def test_a_place_that_nobody_took_is_behind_all_others() -> None:
    """Fewer ascents than places."""
    leaders = Leaders(torch.zeros(1, 4), COUNT)
    leaders.add(torch.tensor([0]), torch.tensor([[5]]), slice(None), torch.tensor([[-2.0]]),
                torch.ones(1, 1, 4))  # fmt: skip
    assert leaders.margin.tolist() == [[-2.0, -torch.inf]]
    assert leaders.way[0, 0] == 5
