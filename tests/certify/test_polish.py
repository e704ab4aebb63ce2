"""Sequential linear programming towards several inequalities at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.certify.search.polish import polish
from holdfast.certify.search.unsafe import Unsafe
from holdfast.certify.search.witness import descend, seek
from holdfast.ops.interval import Box

BOX = Box(-torch.ones(3).double(), torch.ones(3).double())


def corner(x: Tensor) -> Tensor:
    """Four planes through one point, much steeper along one axis; they meet at -0.01."""
    a = torch.tensor([[1.0, 0, 0], [-1, 0, 50], [0, 1, -50], [-1, -1, 1]]).double()
    at = torch.tensor([0.31, -0.47, 0.13]).double()
    return (x - at) @ a.T - 0.01


def test_affine_functions_reach_their_least_maximum() -> None:
    """The four planes are lowest where they meet: `sum of multipliers times planes = -0.01`."""
    x = polish(
        corner, torch.rand(5, 3, generator=torch.Generator().manual_seed(0)).double(), BOX, 12
    )
    assert bool((corner(x).amax(1) <= 0).all())


def test_no_step_raises_the_largest_or_leaves_the_box() -> None:
    def waves(x: Tensor) -> Tensor:
        return torch.stack([x.square().sum(1) + 1, (5 * x).sin().sum(1) + 2], 1)

    start = 2 * torch.rand(6, 3, generator=torch.Generator().manual_seed(1)).double() - 1
    x = polish(waves, start.clone(), BOX, 6)
    assert bool((waves(x).amax(1) <= waves(start).amax(1)).all())
    assert bool((waves(x).amax(1) < waves(start).amax(1)).any())
    assert bool((x >= BOX.low).all() and (x <= BOX.high).all())


def test_an_input_that_is_there_stays() -> None:
    x = torch.tensor([[0.31, -0.47, 0.13]]).double()
    assert torch.equal(polish(corner, x.clone(), BOX, 3), x)


class Corner(nn.Module):
    """The four planes as a network."""

    def forward(self, x: Tensor) -> Tensor:
        return corner(x)


def test_a_search_finds_the_corner_that_descents_miss() -> None:
    """A thin simplex: signed steps of sums and of largest values go to and fro above it."""
    unsafe = Unsafe.of([(torch.eye(4).double(), torch.zeros(4).double())])
    draws = torch.Generator().manual_seed(0)
    settings = {"samples": 16, "at_once": 16, "starts": 8, "steps": 20}
    tried = list(seek(Corner(), unsafe, BOX, draws, **settings))  # type: ignore[arg-type]
    assert tried[-1].witness is not None
    start = torch.zeros(8, 3).double()
    ended = descend(Corner(), unsafe, start, BOX, torch.zeros(8, dtype=torch.long), 20)
    assert ended.witness is None
