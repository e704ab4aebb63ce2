"""Few positions: the nearest change by enumeration, and what counts as a position."""

from itertools import combinations

import torch

from holdfast.ops.sparse import by_position, count, largest, over_channels, project_l0


def test_the_nearest_sparse_change_is_that_of_enumeration():
    """Also where the box cuts off most of a large number, which is then no longer worth it."""
    g = torch.Generator().manual_seed(0)
    d = 2 * torch.randn(20, 6, generator=g, dtype=torch.float64)
    x = torch.rand(20, 6, generator=g, dtype=torch.float64)
    counts = torch.arange(20) % 4
    found = project_l0(d, counts, -x, 1 - x)
    kept_largest = 0
    for row in range(20):
        inside = d[row].clamp(-x[row], 1 - x[row])
        best = float("inf")
        for chosen in combinations(range(6), int(counts[row])):
            point = torch.zeros(6, dtype=torch.float64)
            point[list(chosen)] = inside[list(chosen)]
            best = min(best, float((point - d[row]).square().sum()))
        assert abs(float((found[row] - d[row]).square().sum()) - best) < 1e-12
        assert count(found)[row] <= counts[row]
        ranked = inside.abs().argsort(descending=True)[: counts[row]]
        kept_largest += bool((found[row][ranked] != 0).all())
    assert kept_largest < 20  # so that keeping the largest alone would have failed


def test_a_pixel_is_one_position_whatever_its_channels():
    change = torch.zeros(2, 3, 4, 4)
    change[0, :, 1, 2] = 0.5
    change[1, 0, 0, 0], change[1, 2, 3, 3] = 0.1, -0.2
    assert count(change).tolist() == [1, 2]
    assert by_position(change.abs()).shape == (2, 16)
    kept = project_l0(change, torch.tensor([1, 1]), change - 1, change + 1)
    assert count(kept).tolist() == [1, 1] and kept[1, 2, 3, 3] == change[1, 2, 3, 3]
    assert count(torch.zeros(2, 5)).tolist() == [0, 0]


def test_no_more_than_asked_for_and_nothing_worthless():
    scores = torch.tensor([[1.0, 1.0, 1.0], [0.0, 2.0, -1.0]])
    assert largest(scores, torch.tensor([2, 3])).tolist() == [
        [True, True, False], [False, True, False],
    ]  # fmt: skip
    assert over_channels(largest(scores, torch.tensor([1, 1])), torch.ones(2, 4, 3)).shape == (
        2,
        1,
        3,
    )
