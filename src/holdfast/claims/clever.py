"""Slopes sampled in a ball approach the local Lipschitz constant from below."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.measures.model.lipschitz import local_lipschitz
from holdfast.testing.worlds import TinyReLU

RADIUS, SAMPLES, TURN = 0.1, 60, 1e-7


def _cells(first: nn.Linear, centre: Tensor) -> Tensor:
    """Points in every piece of a disc on which the net is linear.

    The kinks of the units are lines. A piece that is not the whole disc has a corner where two
    lines meet or where a line meets the circle, so points around all of these corners, between
    the lines, reach every piece.
    """
    normals, offsets = first.weight.detach(), first.bias.detach()
    points = [centre]
    lengths = normals.norm(dim=1)
    ways = torch.stack([-normals[:, 1], normals[:, 0]], 1) / lengths[:, None]
    units = normals / lengths[:, None]
    height = (normals @ centre + offsets) / lengths
    for i in range(len(normals)):
        if abs(height[i]) < RADIUS:
            foot = centre - height[i] * units[i]
            half = (RADIUS**2 - height[i] ** 2).sqrt()
            for end in (foot + half * ways[i], foot - half * ways[i]):
                inward = (centre - end) / RADIUS
                points += [end + TURN * (8 * inward + s * units[i]) for s in (-8, -1, 1, 8)]
        for j in range(i):
            pair = torch.stack([normals[i], normals[j]])
            corner = torch.linalg.solve(pair, -torch.stack([offsets[i], offsets[j]]))
            if (corner - centre).norm() < RADIUS:
                for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                    points.append(corner + TURN * (a * ways[i] + b * ways[j]))
    found = torch.stack(points)
    return found[(found - centre).norm(dim=1) <= RADIUS]


def _exact(world: TinyReLU) -> Tensor:
    """`(B,)`: the largest norm of the Jacobian over all pieces of each disc."""
    first, last = (m for m in world.model if isinstance(m, nn.Linear))
    best = []
    for centre in world.x:
        on = (first(_cells(first, centre)) > 0).double()
        jacobian = last.weight @ (on[:, :, None] * first.weight)
        best.append(torch.linalg.matrix_norm(jacobian.detach(), 2).max())
    return torch.stack(best)


def trial(seed: int, mutant: str = "") -> Trial:
    """The steepest slope seen at sixty points of a disc against that of all its pieces."""
    world = TinyReLU.make(hidden=8, rows=16, seed=seed)
    rows = Batches(x=world.x, y=world.y)
    radius = {"never-leaves-the-input": 0.0, "ball-too-wide": 3 * RADIUS}.get(mutant, RADIUS)
    found = local_lipschitz(
        world.model, rows, radius=radius, samples=SAMPLES, steps=15, seed=seed
    ).slope
    if mutant == "mean-of-the-slopes":
        one = local_lipschitz(world.model, rows, samples=1, steps=15, seed=seed).slope
        found = (found + one) / 2
    share = found / _exact(world)
    left = float(share.mean())
    return Trial(left, 0.95, left >= 0.95 and float(share.max()) <= 1 + 1e-9)


CLAIM = Claim(
    paper="clever",
    methods=("measure:local-lipschitz",),
    says="On nets whose pieces are enumerated, sixty points of a disc show on average 95 % of the "
    "local Lipschitz constant, and never more than it.",
    left="steepest slope seen as a share of the local Lipschitz constant, mean over rows",
    right="0.95",
    trial=trial,
    seeds=(101, 102, 103, 104, 105),
    mutants=("never-leaves-the-input", "ball-too-wide", "mean-of-the-slopes"),
    seconds=4,
)
